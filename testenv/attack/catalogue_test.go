package attack

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// catalogued is one row of the catalogue of bad inputs, peers.md 5.2: its cases, and where each is tested, by folder and
// function. A test named Fuzz… also runs its seeds with the others.
type catalogued struct {
	row   string
	cases map[string]string
}

// catalogue leads from each case to its tests.
func catalogue() []catalogued {
	const here = "testenv/attack."
	return []catalogued{
		{"Framing", map[string]string{
			"length 0–7":                        here + "TestFraming tns.TestBadConnects",
			"length > SDU":                      here + "TestFraming tns.TestPacketAboveSDU",
			"length 65535, 8 bytes, silence":    here + "TestFraming tns.TestSilentClients",
			"2-byte and 4-byte lengths":         here + "TestFraming " + here + "TestInstancesThatLie tns.TestLargeIsIgnoredBeforeAccept",
			"checksum flags":                    here + "TestFraming tns.TestOddConnectsAnswered",
			"unknown type":                      here + "TestFraming " + here + "TestInstancesThatLie",
			"type out of state":                 here + "TestFraming " + here + "TestInstancesThatLie registration.TestOtherPacketsDoNotMatter",
			"DATA before ACCEPT":                here + "TestFraming relay.TestEarlyBytesAreNotLost",
			"coalesced, one byte at a time":     here + "TestFraming tns.TestReadPacketSegments registration.TestSingleByteWrites registration.TestSeveralMessagesInOnePacket",
			"RST mid-header":                    here + "TestFraming tns.TestReadReset",
			"all of it, made up":                here + "TestMadeUpInputs tns.FuzzReadPacket tns.FuzzReadConnect",
			"the real program":                  "testenv/drivers.TestGarbage testenv/drivers.TestSilence",
			"a driver behind a broken database": "testenv/ttcserver.TestBrokenPackets",
		}},
		{"CONNECT header", map[string]string{
			"data offset inside header, past end, overlapping": here + "TestConnectHeaders tns.TestBadConnects",
			"data length lie":       here + "TestConnectHeaders tns.TestConnectForRelayRecomputesLengths",
			"SDU 0, 1, 511, 65535+": here + "TestConnectHeaders tns.TestOddConnectsAnswered",
			"TDU < SDU":             here + "TestConnectHeaders tns.TestOddConnectsAnswered",
			"version 0, 65535":      here + "TestConnectHeaders tns.TestAnswerConnectNoCommonVersion",
			"compat > version":      here + "TestConnectHeaders",
			"long data: following, never sent, twice, larger than cap": here + "TestConnectHeaders tns.TestConnectDataSentTwice tns.TestMaxConnectData tns.TestDataFloodIsLinear",
		}},
		{"NV descriptor", map[string]string{
			"unbalanced":                   here + "TestDescriptors descriptor.TestParseErrors descriptor.TestEveryProperPrefixIsRefused",
			"10,000 nested parens":         here + "TestDescriptors descriptor.TestLimits testenv/drivers.TestMonstrousDescriptors",
			"duplicate keys":               here + "TestDescriptors relay.TestNothingElseIsAskedOnARoute",
			"empty SERVICE_NAME":           here + "TestDescriptors relay.TestRefusalsOfTheQuestion",
			"SID only":                     here + "TestDescriptors servicetable.TestMatchBySID",
			"INSTANCE_NAME":                here + "TestDescriptors servicetable.TestMatchByInstance",
			"quoted and escaped parens":    here + "TestDescriptors descriptor.TestQuotesAndBackslashes",
			"#, NUL, UTF-8, UTF-16 junk":   here + "TestDescriptors descriptor.FuzzParse",
			"1 MB value":                   here + "TestDescriptors testenv/drivers.TestMegabyteDescriptors",
			"thousands of ADDRESSes":       here + "TestDescriptors relay.TestHowManyHopsAreTried",
			"hash-flood keys":              here + "TestDescriptors descriptor.TestTimeIsBoundedByTheText descriptor.TestMemoryIsBoundedByTheText",
			"CRLF and ANSI into logs":      here + "TestTextsDoNothing " + here + "TestTextsOfInstances descriptor.TestEscapedTextIsOneVisibleLine broker.TestNoDescriptorBecomesTwoEntries broker.TestAnyTextIsOneRecord journal.TestOneLineWhateverClientsSay",
			"… into page, API and tools":   here + "TestTextsDoNothing console.TestTextsAreVisible console.TestPageEscapesHostileNames console.TestTextIsHarmlessToTerminals console.TestOperatorsPagesEscapeHostileNames",
			"SOURCE_ROUTE lists":           here + "TestDescriptors relay.TestRoutesDoNotLeadWhereNoRuleMeantThemTo descriptor.TestReadRouteRefusesWhatLeadsNowhere",
			"COMMAND=… from remote":        here + "TestCommandsOfStrangers broker.TestCommandsFromElsewhereAreRefused broker.TestCommandsAreSeenHoweverTheyAreDressed broker.TestHiddenCommandsAreUnknown broker.TestProxyHeaderGrantsNothing",
			"commands carried along":       "broker.TestHiddenCommandsAreUnknown relay.TestNoOtherWayIsSentOn",
			"secrets in what is explained": "descriptor.TestMask descriptor.TestErrorsGiveNoValuesAway",
		}},
		{"Registration", map[string]string{
			"forged service (poison)":              here + "TestRegistrationOfStrangers testenv/drivers.TestForeignRegistrationRefused registration.TestStrangersAreRefused",
			"foreign handler address":              "registration.TestOnlyServicesOfTheHandlerElsewhereAreQuarantined registration.TestJudge testenv/drivers.TestQuarantine",
			"loop-back or link-local handler":      here + "TestHandlersThatCannotBe " + here + "TestInstancesElsewhereDoNotLeadHere broker.TestAddressesThatMeanNothingElsewhere broker.TestWhatIsDialledForDatabasesElsewhere",
			"own broker address (loop)":            here + "TestHandlersThatCannotBe registration.TestOwnAddressesAreLeftOut",
			"redirect chains and cycles":           here + "TestInstancesThatLie relay.TestEndlessAnswersEnd testenv/drivers.TestBrokersInACircle",
			"100,000 services":                     here + "TestServicesWithoutEnd registration.TestFoldErrors registration/nsgr.TestNodeLimit",
			"goodness negative, overflow, delta 0": here + "TestLoadsOfAnySize loadbalance.TestListenerNeverCountsDown console.TestLoad",
			"flapping 1,000 ×/s":                   here + "TestFlapping registration.TestFloodIsBounded broker.TestFlappingLinkIsNoMove",
			"half-open registrant":                 "registration.TestFirstMessageHasATimeLimit registration.TestKeepAliveIsSet testenv/drivers.TestFaultsOfTheNetwork",
			"replayed update":                      here + "TestLoadsOfAnySize registration.TestReRegistrationChangesLoad",
			"messages that are none":               here + "TestMessagesThatAreNone " + here + "TestRegistrationsBrokenAtAnyByte registration.TestGarbageIsCountedAndTheConnectionKept registration/nsgr.FuzzDecode registration.FuzzFold",
			"name case tricks":                     here + "TestNamesThatLookAlike servicetable.TestFold",
			"wildcard or DNS-unsafe names":         here + "TestNamesThatLookAlike discovery/dns.TestNamesAreMadeSafe discovery/dns.TestAnyNameIsSafe discovery/dns.TestTextsMayHoldAnything",
			"Unicode confusables":                  here + "TestNamesThatLookAlike",
			"instances that lie":                   here + "TestInstancesThatLie relay.TestWhatIsReportedWhenAllFail relay.TestAnInstanceThatSaysNothingIsGivenUp",
		}},
		{"Slow and floods", map[string]string{
			"slowloris, connect-and-hold, idle after hello": here + "TestFraming " + here + "TestHandshakes broker.TestSilentConnectionsAreCheap broker.TestSilentHandshake testenv/drivers.TestSilentCrowd",
			"TLS renegotiation":                             here + "TestHandshakesAgain " + here + "TestHandshakesAgainWithInstances certs.TestWhoBreaksTLSIsTold",
			"handshake flood, backlog flood":                "testenv/flood.TestOthersAreServedBesideAFlood",
			"RESEND loop":                                   here + "TestInstancesThatLie registration.TestTapGivesUpOnEndlessRESENDs",
			"1 client, 20 k sockets":                        "broker.TestConnectionsAreLimited broker.TestRefusalsTakeFewSlots limits.TestTheOldestOfTheLargestCrowdGoes",
			"fd exhaustion":                                 "broker.TestAcceptGoesOn broker.TestDescriptorsAreDivided broker.TestACrowdMakesRoomSoon broker.TestDatabasesGoBeforeClientsWhereDescriptorsAreFew",
			"reader that does not read":                     "relay/engine.TestLimitsHoldWhileBothSidesOnlyWrite relay/engine.TestASlowReaderIsNotIdle",
		}},
		{"TLS", map[string]string{
			"SSLv2 hello":                    here + "TestHandshakes tns.TestBadConnects",
			"plaintext on TCPS, the reverse": here + "TestHandshakes broker.TestTheWrongDoor",
			"no SNI, Oracle SNI, SNI 64 kB":  here + "TestNamesInHandshakes certs.TestAnyServerNameIsServed certs.FuzzParseSNI",
			"ALPN junk":                      here + "TestNamesInHandshakes",
			"expired, wrong CA client cert":  here + "TestCertificatesOfClients certs.TestUnwantedClientIsNamed broker.TestClientCertificates",
			"cert swap under load":           "broker.TestCertificatesRotateUnderLoad certs.TestRotationUnderLoad testenv/drivers.TestCertificatesRotateUnderDrivers",
		}},
		{"DNS", map[string]string{
			"compression loops":          here + "TestQuestions discovery/dns.TestGarbageOverTheNetwork discovery/dns.FuzzServeDNS",
			"ANY/AXFR from strangers":    here + "TestQuestions discovery/dns.TestTransfersNeedTheKeyAndTheAddress",
			"EDNS size lies":             here + "TestQuestions discovery/dns.TestAnswersAreCutToWhatFits discovery/dns.TestAnInvitationToTCPKeepsEDNS",
			"TSIG wrong key, time, MAC":  here + "TestQuestions discovery/dns.TestSignaturesThatAreWrongAreToldWhy",
			"UPDATE refused or partial":  here + "TestQuestions discovery/dns.TestWhatAPrimaryRefusesIsExplained",
			"NOTIFY flood":               here + "TestQuestions discovery/dns.TestQuestionsThatAreNone discovery/dns.TestAnswersToANetworkAreBounded",
			"zones of more than 64 kB":   here + "TestLargeZones discovery/dns.TestAZoneOfMoreThan64KBIsTransferred discovery/dns.TestEachMessageOfALargeTransferIsSigned discovery/dns.TestAnAnswerOfManyRecordsComesWholeByTCP discovery/dns.TestAThousandInstancesAreWritten discovery/dns.TestNotesOfManyNamesAreSpread",
			"hostile transfers":          "discovery/dns.TestHostileTransfers discovery/dns.TestCopiesThatNobodyReads",
			"labels > 63":                here + "TestQuestions discovery/dns.TestAnyNameIsSafe",
			"answers for names, hostile": "broker.TestNamesOfClientsAreLookedUpInBounds relay.TestWhatIsDialledIsWhatWasJudged",
		}},
		{"Consul", map[string]string{
			"500s":                  "discovery/consul.TestAMirrorRecoversFromWhateverBecomesOfConsul testenv/drivers.TestConsulsFaultsChangeNoRouting",
			"slow":                  "discovery/consul.TestAnAnswerThatDripsIsGivenUp",
			"truncated JSON":        "discovery/consul.TestAnswersWithHolesAreErrorsAndNobodyFalls broker.TestNothingThatAConsulSaysChangesRouting",
			"answers without end":   "discovery/consul.TestAnswersWithoutAnEndCostLittle",
			"index regress":         "discovery/consul.TestAnIndexThatGoesBackBeginsAnewAndFaultsChangeNothing",
			"empty catalogue":       "discovery/consul.TestMaintenanceModeIsHeardOfAndConsulsLossOfMemoryIsNotBelieved discovery/consul.TestOrphansAndDamageAreRepaired",
			"ACL revoked mid-run":   "discovery/consul.TestTheTokenIsReadAgainAndRevokingItStopsNothingElse testenv/drivers.TestATokenThatIsRevokedChangesNoRouting",
			"lock stolen":           "discovery/consul.TestWithoutTheLockNothingIsWritten",
			"clock skew":            "discovery/consul.TestOfConflictingIntentsTheLaterHoldsEverywhere",
			"ids and names, unsafe": "discovery/consul.TestOneEntryThatConsulRefusesHoldsUpNoOther",
		}},
		{"Scanners", map[string]string{
			"nmap: version, SIDs, users, passwords": here + "TestNmap testenv/drivers.TestNmapVersionProbe",
			"poison":                                here + "TestScanners testenv/drivers.TestForeignRegistrationRefused",
			"ODAT: tnscmd, tnspoison, guessers":     here + "TestScanners",
			"nothing is revealed":                   here + "TestScanners",
			"guesses are limited and alarmed":       here + "TestGuessedNames limits.TestWhoGuessesIsToldNothing broker.TestAlertsHaveRemedies",
		}},
		{"Administration", map[string]string{
			"HTTP":                here + "TestRequests console.TestNothingIsChangedOverThePlainAddress console.TestOtherSitesChangeNothing",
			"credentials guessed": "console.TestWrongCredentialsSlowDown console.TestTokensAreNotGuessed",
		}},
	}
}

// functions finds the tests of a folder.
var functions = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)

// Each case of the catalogue has a test that is there.
func TestTheCatalogueIsWhole(t *testing.T) {
	known := map[string]map[string]bool{}
	named, rows := 0, map[string]bool{}
	for _, row := range catalogue() {
		rows[row.row] = true
		for one, tests := range row.cases {
			if tests == "" {
				t.Errorf("%s, %s: no test", row.row, one)
			}
			for test := range strings.FieldsSeq(tests) {
				named++
				folder, name, _ := strings.Cut(test, ".")
				if known[folder] == nil {
					known[folder] = testsIn(t, folder)
				}
				if !known[folder][name] {
					t.Errorf("%s, %s: there is no %s in %s", row.row, one, name, folder)
				}
			}
		}
	}
	for _, row := range []string{"Framing", "CONNECT header", "NV descriptor", "Registration", "Slow and floods", "TLS", "DNS", "Consul", "Scanners"} {
		if !rows[row] {
			t.Errorf("the row %s is missing", row)
		}
	}
	t.Logf("%d tests are named", named)
}

func testsIn(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(folder), "*_test.go"))
	must(t, err)
	all := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		for _, found := range functions.FindAllStringSubmatch(string(text), -1) {
			all[found[1]] = true
		}
	}
	return all
}
