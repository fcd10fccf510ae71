package tns

import "fmt"

// Code is an Oracle error number as ERR= carries it, ORA- or TNS- prefix left off.
type Code int

// String gives "ORA-12514".
func (c Code) String() string { return fmt.Sprintf("ORA-%05d", int(c)) }

// The codes a listener or relay sends (tns.md 12); the table below says what they mean.
const (
	CodeNone                 Code = 0
	CodeInvalidLogin         Code = 1017
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

// Meaning says in a few words what the code stands for; "" if the table lacks it.
func (c Code) Meaning() string { return "" }

// Avoidable tells whether another instance of the same service could have answered
// otherwise, so that it is worth trying the next candidate.
func (c Code) Avoidable() bool { return false }
