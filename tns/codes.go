package tns

import (
	"fmt"
	"sort"
)

// Code is an Oracle error number as ERR= carries it, ORA- or TNS- prefix left off.
type Code int

// String gives "ORA-12514".
func (c Code) String() string { return fmt.Sprintf("ORA-%05d", int(c)) }

// The codes a listener or relay sends (tns.md 12); the table below says what they mean.
const (
	CodeNone                 Code = 0
	CodeInvalidLogin         Code = 1017
	CodeStarting             Code = 1033
	CodeNotAvailable         Code = 1034
	CodeShuttingDown         Code = 1089
	CodeShutdownUnderWay     Code = 1090
	CodeBadDescriptor        Code = 1153
	CodeAdminPassword        Code = 1169
	CodeRegistrationRejected Code = 1182
	CodeAdminRefused         Code = 1189
	CodeNotAuthorised        Code = 1190
	CodeInsecureTransport    Code = 1194
	CodeConnectTimeout       Code = 12170
	CodeNoServer             Code = 12500
	CodeNoConnectData        Code = 12502
	CodeBadRegion            Code = 12503
	CodeNoServiceName        Code = 12504
	CodeUnknownSID           Code = 12505
	CodeAccessList           Code = 12506
	CodeUnknownCommand       Code = 12508
	CodeRedirectFailed       Code = 12509
	CodeNoResources          Code = 12510
	CodeHandlerNotAccepting  Code = 12511
	CodeHandlerProtocol      Code = 12513
	CodeUnknownService       Code = 12514
	CodeNoPresentation       Code = 12515
	CodeNoHandler            Code = 12516
	CodeHandoff              Code = 12518
	CodeNoServiceHandler     Code = 12519
	CodeNoHandlerOfKind      Code = 12520
	CodeUnknownInstance      Code = 12521
	CodeNoInstanceRole       Code = 12522
	CodeNoInstance           Code = 12523
	CodeUnknownHandler       Code = 12524
	CodeInboundTimeout       Code = 12525
	CodeRestricted           Code = 12526
	CodeRestrictedOrBlocked  Code = 12527
	CodeBlocked              Code = 12528
	CodeRuleRejects          Code = 12529
	CodeRateLimit            Code = 12530
	CodeBadArgument          Code = 12532
	CodeBadAddress           Code = 12533
	CodeTimeout              Code = 12535
	CodeClosed               Code = 12537
	CodeLimit                Code = 12540
	CodeNoListener           Code = 12541
	CodeHostUnreachable      Code = 12543
	CodeHostUnknown          Code = 12545
	CodePermission           Code = 12546
	CodeLostContact          Code = 12547
	CodeSystemLimit          Code = 12549
	CodeProtocolAdapter      Code = 12560
	CodeRefused              Code = 12564
	CodeProtocolError        Code = 12566
	CodeChecksum             Code = 12569
	CodeReadFailure          Code = 12570
	CodeWriteFailure         Code = 12571
	CodeShutdown             Code = 12572 // in CONTROL only
	CodeMessage              Code = 12573 // in CONTROL only
	CodeRedirectDenied       Code = 12574
	CodeBadPacket            Code = 12592
	CodeApplicationTimeout   Code = 12606
	CodeSendTimeout          Code = 12608
	CodeReceiveTimeout       Code = 12609
	CodeNASettings           Code = 12660
)

// codeEntry is what we know of a code. avoidable: another instance of the same service
// could have answered otherwise.
type codeEntry struct {
	code      Code
	avoidable bool
	meaning   string
}

// codeTable is in ascending order, and never written to.
var codeTable = [...]codeEntry{
	{CodeNone, false, "no error"},
	{CodeInvalidLogin, false, "wrong user name or password"},
	{CodeStarting, true, "instance is starting up or shutting down"},
	{CodeNotAvailable, true, "instance is not running"},
	{CodeShuttingDown, true, "instance is shutting down at once"},
	{CodeShutdownUnderWay, true, "instance is shutting down, no new sessions"},
	{CodeBadDescriptor, false, "descriptor cannot be parsed"},
	{CodeAdminPassword, false, "administration needs a password"},
	{CodeRegistrationRejected, false, "registration not accepted"},
	{CodeAdminRefused, false, "administration from a user not identified"},
	{CodeNotAuthorised, false, "administration by a user without the right to it"},
	{CodeInsecureTransport, false, "administration over a transport that is not secure"},
	{CodeConnectTimeout, true, "time limit while connecting"},
	{CodeNoServer, true, "dedicated server could not be started"},
	{CodeNoConnectData, false, "descriptor has no CONNECT_DATA"},
	{CodeBadRegion, false, "REGION is not valid"},
	{CodeNoServiceName, false, "neither SERVICE_NAME nor SID given"},
	{CodeUnknownSID, true, "SID not known here"},
	{CodeAccessList, false, "service's access list excludes the client"},
	{CodeUnknownCommand, false, "COMMAND not known"},
	{CodeRedirectFailed, true, "client could not be handed to the handler"},
	{CodeNoResources, true, "database short of resources for the moment"},
	{CodeHandlerNotAccepting, true, "handler found, but it takes no connections"},
	{CodeHandlerProtocol, true, "handler is for another protocol"},
	{CodeUnknownService, true, "service not known here"},
	{CodeNoPresentation, true, "no handler for this presentation"},
	{CodeNoHandler, true, "all handlers of the service are full, or speak another protocol"},
	{CodeHandoff, true, "connection could not be handed to the server process"},
	{CodeNoServiceHandler, true, "no handler of the service is free"},
	{CodeNoHandlerOfKind, true, "no handler of the wanted server mode"},
	{CodeUnknownInstance, true, "instance does not offer the service"},
	{CodeNoInstanceRole, true, "no instance in the wanted role"},
	{CodeNoInstance, true, "no instance fits what is asked"},
	{CodeUnknownHandler, true, "handler of that name not found"},
	{CodeInboundTimeout, true, "request not complete within the time limit"}, // ours goes out in one write: the instance was slow
	{CodeRestricted, true, "all instances are in restricted mode"},
	{CodeRestrictedOrBlocked, true, "instances are restricted or blocked"},
	{CodeBlocked, true, "all instances block new connections"},
	{CodeRuleRejects, false, "a rule rejects the connection"},
	{CodeRateLimit, true, "too many connections a second"},
	{CodeBadArgument, false, "argument not valid"},
	{CodeBadAddress, false, "ADDRESS has wrong parameters"},
	{CodeTimeout, true, "time limit exceeded"},
	{CodeClosed, true, "connection closed"},
	{CodeLimit, true, "internal limit reached"},
	{CodeNoListener, true, "nobody listens at the address"},
	{CodeHostUnreachable, true, "host cannot be reached"},
	{CodeHostUnknown, true, "host or object does not exist"},
	{CodePermission, true, "operating system denies permission"},
	{CodeLostContact, true, "contact lost"},
	{CodeSystemLimit, true, "operating system limit reached"},
	{CodeProtocolAdapter, true, "transport failed"},
	{CodeRefused, true, "connection refused"},
	{CodeProtocolError, false, "protocol violated"},
	{CodeChecksum, true, "checksum wrong"},
	{CodeReadFailure, true, "reading failed"},
	{CodeWriteFailure, true, "writing failed"},
	{CodeShutdown, true, "session or relay is to shut down"},
	{CodeMessage, false, "a text message"},
	{CodeRedirectDenied, false, "redirected client would be redirected again"},
	{CodeBadPacket, false, "bad packet"},
	{CodeApplicationTimeout, true, "time limit of the application layer"},
	{CodeSendTimeout, true, "time limit while sending"},
	{CodeReceiveTimeout, true, "time limit while receiving"},
	{CodeNASettings, false, "encryption or checksum settings do not match"},
}

// lookup finds the code's entry, nil if the table lacks it.
func (c Code) lookup() *codeEntry {
	i := sort.Search(len(codeTable), func(i int) bool { return codeTable[i].code >= c })
	if i == len(codeTable) || codeTable[i].code != c {
		return nil
	}
	return &codeTable[i]
}

// Meaning says in a few words what the code stands for; "" if the table lacks it.
func (c Code) Meaning() string {
	if e := c.lookup(); e != nil {
		return e.meaning
	}
	return ""
}

// Avoidable tells whether another instance of the same service could have answered
// otherwise, so that it is worth trying the next candidate. A code the table lacks is
// the peer's last word.
func (c Code) Avoidable() bool {
	e := c.lookup()
	return e != nil && e.avoidable
}
