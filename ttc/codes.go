package ttc

import "fmt"

// MessageCode is the first byte of every message.
type MessageCode byte

// The messages, with who sends them (ttc.md 6).
const (
	MessageProtocol        MessageCode = 1  // both: first words, server's capabilities
	MessageDataTypes       MessageCode = 2  // both: client's capabilities and representations
	MessageFunction        MessageCode = 3  // client: a call that is answered
	MessageCallEnd         MessageCode = 4  // server: end of a call, with error or without
	MessageRowHeader       MessageCode = 6  // server: rows follow
	MessageRow             MessageCode = 7  // both: column or bind values
	MessageParameters      MessageCode = 8  // server: what a call returns besides rows
	MessageStatus          MessageCode = 9  // server: end of a call that cannot fail
	MessageIOVector        MessageCode = 11 // server: direction of each bind
	MessageLOBData         MessageCode = 14 // both
	MessageWarning         MessageCode = 15 // server
	MessageDescribe        MessageCode = 16 // server: columns of a query
	MessagePiggyback       MessageCode = 17 // client: goes before a call, is not answered
	MessageFlushOutBinds   MessageCode = 19 // both: OUT binds acknowledged
	MessageBitVector       MessageCode = 21 // server: which columns differ from the row before
	MessageServerPiggyback MessageCode = 23 // server: news of the session
	MessageOneWay          MessageCode = 26 // client: a call that is not answered
	MessageImplicitResults MessageCode = 27 // server
	MessageRenegotiate     MessageCode = 28 // server: no fast authentication, start again
	MessageEndOfResponse   MessageCode = 29 // server: last byte of an answer, if negotiated
	MessageToken           MessageCode = 33 // server: which call is answered, in a pipeline
	MessageFastAuth        MessageCode = 34 // client: protocol, data types and login at once
)

// Function is what a call, piggyback or one-way call asks for.
type Function byte

// The functions of thin drivers.
const (
	FunctionReexecute         Function = 4
	FunctionFetch             Function = 5
	FunctionLogoff            Function = 9
	FunctionCommit            Function = 14
	FunctionRollback          Function = 15
	FunctionVersion           Function = 59
	FunctionReexecuteFetch    Function = 78
	FunctionExecute           Function = 94
	FunctionLOB               Function = 96
	FunctionXASwitch          Function = 103
	FunctionXAChangeState     Function = 104
	FunctionCloseCursors      Function = 105
	FunctionAuthTwo           Function = 115
	FunctionAuthOne           Function = 118
	FunctionCancelCursors     Function = 120
	FunctionEndToEnd          Function = 135
	FunctionPing              Function = 147
	FunctionSetSchema         Function = 152
	FunctionKeyValues         Function = 154
	FunctionSessionGet        Function = 162
	FunctionSessionRelease    Function = 163
	FunctionSessionState      Function = 176
	FunctionPipelineBegin     Function = 199
	FunctionPipelineEnd       Function = 200
	FunctionAlterSession      Function = 204
	FunctionEndUserSecurity   Function = 205
	FunctionDirectPathPrepare Function = 128
)

// String names the function for people.
func (f Function) String() string {
	names := map[Function]string{
		FunctionReexecute: "re-execute", FunctionFetch: "fetch", FunctionLogoff: "logoff",
		FunctionCommit: "commit", FunctionRollback: "rollback", FunctionVersion: "version",
		FunctionReexecuteFetch: "re-execute and fetch", FunctionExecute: "execute", FunctionLOB: "LOB operation",
		FunctionXASwitch: "XA switch", FunctionXAChangeState: "XA change state",
		FunctionCloseCursors: "close cursors", FunctionAuthTwo: "login, phase two",
		FunctionAuthOne: "login, phase one", FunctionCancelCursors: "cancel cursors",
		FunctionEndToEnd: "end-to-end attributes", FunctionPing: "ping", FunctionSetSchema: "set schema",
		FunctionKeyValues: "key-value pairs", FunctionSessionGet: "session get",
		FunctionSessionRelease: "session release", FunctionSessionState: "session state",
		FunctionPipelineBegin: "pipeline begin", FunctionPipelineEnd: "pipeline end",
		FunctionAlterSession: "alter session values", FunctionEndUserSecurity: "end-user security context",
		FunctionDirectPathPrepare: "direct path prepare",
	}
	if name, known := names[f]; known {
		return name
	}
	return fmt.Sprintf("function %d", byte(f))
}

// Header begins every message of a client that asks for something.
type Header struct {
	Message  MessageCode // MessageFunction, MessagePiggyback or MessageOneWay
	Function Function
	Sequence byte   // means nothing: some drivers always send 0 (ttc.md 12)
	Token    uint64 // field version 18 and later; 0 outside pipelines
}

// Decode reads what follows the message code.
func (h *Header) Decode(r *Reader, code MessageCode, d Dialect) {
	*h = Header{Message: code, Function: Function(r.Byte()), Sequence: r.Byte()}
	if d.FieldVersion >= fieldVersionToken {
		h.Token = r.UB8()
	}
}

// AppendTo appends the header with its message code.
func (h Header) AppendTo(dst []byte, d Dialect) []byte {
	dst = append(dst, byte(h.Message), byte(h.Function), h.Sequence)
	if d.FieldVersion >= fieldVersionToken {
		dst = appendUB(dst, h.Token)
	}
	return dst
}

// Body is what follows a Header.
type Body interface {
	AppendTo(dst []byte, d Dialect) []byte
}

// AppendCall appends a whole call; body is nil if the function has none.
func AppendCall(dst []byte, d Dialect, f Function, body Body) []byte {
	dst = Header{Message: MessageFunction, Function: f, Sequence: 1}.AppendTo(dst, d)
	if body != nil {
		dst = body.AppendTo(dst, d)
	}
	return dst
}

// AppendPiggyback appends a whole piggyback.
func AppendPiggyback(dst []byte, d Dialect, f Function, body Body) []byte {
	dst = Header{Message: MessagePiggyback, Function: f, Sequence: 1}.AppendTo(dst, d)
	return body.AppendTo(dst, d)
}
