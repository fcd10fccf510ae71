package drivers

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// Conversation is a job whose steps are given one after the other. One goroutine uses it at a time.
type Conversation interface {
	// Do does a step. A result with an error may also be the end of the driver itself.
	Do(ctx context.Context, s Step) Result
	// End closes all connections.
	End() error
}

// Converse begins a conversation in this process.
func (g GoOra) Converse() Conversation {
	return &gooraConversation{driver: g, open: gooraConnections{}}
}

type gooraConversation struct {
	driver GoOra
	open   gooraConnections
}

func (c *gooraConversation) Do(ctx context.Context, s Step) (r Result) {
	began := time.Now()
	if err := c.open.do(ctx, c.driver, s, &r); err != nil {
		r = Result{Error: err.Error()}
	}
	r.TookMS = float64(time.Since(began).Microseconds()) / 1000
	return r
}

func (c *gooraConversation) End() error {
	c.open.closeAll()
	return nil
}

// Converse begins a conversation in a process of its own, which ends with ctx. Where that process ends by itself, the step
// under way tells how, and the next one finds a new process, without connections.
func (s *Script) Converse(ctx context.Context) (Conversation, error) {
	c := &scriptConversation{start: func() *exec.Cmd {
		cmd := exec.CommandContext(ctx, s.command[0], append(s.command[1:len(s.command):len(s.command)], "converse")...)
		cmd.Env = append(os.Environ(), "TZ=UTC")
		return cmd
	}}
	if err := c.begin(); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	return c, nil
}

type scriptConversation struct {
	start      func() *exec.Cmd
	cmd        *exec.Cmd // nil: it has ended
	in         io.WriteCloser
	out        *bufio.Scanner
	complaints bytes.Buffer
}

func (c *scriptConversation) begin() error {
	cmd := c.start()
	c.complaints.Reset()
	cmd.Stderr = &c.complaints
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.cmd, c.in, c.out = cmd, in, bufio.NewScanner(out)
	c.out.Buffer(nil, maxResult)
	return nil
}

func (c *scriptConversation) Do(_ context.Context, s Step) (r Result) {
	text, err := json.Marshal(s)
	if err == nil && c.cmd == nil {
		err = c.begin()
	}
	if err != nil {
		return Result{Error: "the driver's process: " + err.Error()}
	}
	_, err = c.in.Write(append(text, '\n'))
	if err == nil && !c.out.Scan() {
		err = cmp.Or(c.out.Err(), io.ErrUnexpectedEOF)
	}
	if err == nil {
		err = json.Unmarshal(c.out.Bytes(), &r)
	}
	if err != nil {
		return Result{Error: fmt.Sprintf("the driver's process: %v; it ended: %v", err, c.End())}
	}
	return r
}

func (c *scriptConversation) End() error {
	if c.cmd == nil {
		return nil
	}
	_ = c.in.Close()
	err := c.cmd.Wait()
	c.cmd = nil
	if err != nil {
		return fmt.Errorf("%w: %.2000s", err, c.complaints.Bytes())
	}
	return nil
}
