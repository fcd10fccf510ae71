package console

import (
	"context"
	"fmt"
	"net"
	"os/user"
	"strconv"
	"syscall"
)

type peerKey struct{}

// PeerContext is for the http.Server of the admin socket (its ConnContext): it notes which user is at the other end, for the
// audit.
func PeerContext(ctx context.Context, c net.Conn) context.Context {
	socket, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return ctx
	}
	var peer *syscall.Ucred
	if raw.Control(func(fd uintptr) {
		peer, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}) != nil || err != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, userName(peer.Uid, peer.Pid))
}

// userName names a user and the process that speaks for him.
func userName(uid uint32, pid int32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return fmt.Sprintf("%s (uid %s, pid %d)", u.Username, id, pid)
	}
	return fmt.Sprintf("uid %s (pid %d)", id, pid)
}

// peerOf is who is at the other end, "" if that is not known.
func peerOf(ctx context.Context) string {
	who, _ := ctx.Value(peerKey{}).(string)
	return who
}
