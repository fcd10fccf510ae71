// Command demo shows the main job on one machine: a broker, two test databases
// that register the service "sales" with it, and a real driver whose connects it
// balances. It stays up until it is interrupted.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	_ "github.com/sijms/go-ora/v2"
)

func main() {
	runtime.LockOSThread() // children get a signal when the thread that started them ends
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

const (
	user, password, service = "scott", "tiger", "sales"
	patience                = 20 * time.Second
)

func run(ctx context.Context) error {
	d := &demo{address: freeAddress(1521), console: freeAddress(8521)}
	var err error
	if d.folder, err = os.MkdirTemp("", "servicebroker-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(d.folder)
	defer d.stop()
	if err := d.start(ctx); err != nil {
		return err
	}
	if err := d.show(ctx); err != nil {
		return err
	}
	d.explain()
	select {
	case <-ctx.Done():
		fmt.Println("\nstopping")
		return nil
	case name := <-d.died:
		return fmt.Errorf("%s ended by itself:\n%s", name, d.tail(name))
	}
}

// freeAddress returns the usual port on loopback if it is free, else any other.
func freeAddress(usual int) string {
	for _, port := range []int{usual, 0} {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	return fmt.Sprintf("127.0.0.1:%d", usual)
}

type demo struct {
	folder, address, console string
	processes                []*exec.Cmd
	exited                   []chan struct{}
	died                     chan string
	connections              []*sql.DB
}

// start runs the broker and the two databases and waits until both are registered.
func (d *demo) start(ctx context.Context) error {
	d.died = make(chan string, 3)
	host, port, _ := net.SplitHostPort(d.address)
	config := fmt.Sprintf(`DEMO = (CONFIGURATION=
  (ADDRESS=(PROTOCOL=tcp)(HOST=%s)(PORT=%s))
  (RULE_LIST=
    (RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))
    (RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)))
  (PARAMETER_LIST=
    (CONSOLE_ADDRESS=%s)
    (SHUTDOWN_GRACE=0)
    (STATE_DIRECTORY=%s)))
`, host, port, d.console, filepath.Join(d.folder, "state"))
	file := filepath.Join(d.folder, "cman.ora")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	if err := d.launch("broker", "bin/broker", "serve", "-c", file); err != nil {
		return err
	}
	for _, instance := range []string{"sales1", "sales2"} {
		if err := d.launch(instance, "bin/testdb", "--listen", "127.0.0.1:0", "--instance", instance, "--service", service,
			"--remote-listener", d.address, "--user", user+"/"+password, "--retry", "500ms"); err != nil {
			return err
		}
	}
	return d.await(ctx, func() bool { return len(d.instances()) == 2 }, "both databases to register")
}

// launch starts a process in a group of its own, so that Ctrl-C reaches it through us.
func (d *demo) launch(name, program string, arguments ...string) error {
	log, err := os.Create(d.logOf(name))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, arguments...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w: run make build first", program, err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
		d.died <- name
	}()
	d.processes, d.exited = append(d.processes, cmd), append(d.exited, exited)
	return nil
}

func (d *demo) logOf(name string) string { return filepath.Join(d.folder, name+".log") }

func (d *demo) tail(name string) string {
	text, _ := os.ReadFile(d.logOf(name))
	return string(text[max(0, len(text)-2000):])
}

// await polls until done or out of patience.
func (d *demo) await(ctx context.Context, done func() bool, what string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case name := <-d.died:
			return fmt.Errorf("%s ended by itself:\n%s", name, d.tail(name))
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return fmt.Errorf("gave up waiting for %s; the broker's log ends:\n%s", what, d.tail("broker"))
		}
	}
	return nil
}

// instance is what the API tells of one instance of the service.
type instance struct {
	Name      string
	Load, Max int
}

func (d *demo) instances() []instance {
	var table struct {
		Services []struct {
			Name      string
			Instances []instance
		}
	}
	if d.get("/api/v1/services", &table) != nil {
		return nil
	}
	for _, s := range table.Services {
		if s.Name == service {
			return s.Instances
		}
	}
	return nil
}

func (d *demo) get(path string, into any) error {
	r, err := (&http.Client{Timeout: time.Second}).Get("http://" + d.console + path)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	return json.NewDecoder(r.Body).Decode(into)
}

// show prints the table and connects a few times, keeping the sessions, so that
// each connect finds another load.
func (d *demo) show(ctx context.Context) error {
	fmt.Printf("\nTwo databases have registered the service %q with the broker:\n\n", service)
	list := exec.CommandContext(ctx, "bin/broker", "--api", "http://"+d.console, "services")
	list.Stdout, list.Stderr = os.Stdout, os.Stderr
	if err := list.Run(); err != nil {
		return err
	}
	fmt.Printf("\nA real driver (go-ora) connects to %s/%s six times and keeps its sessions.\nEach goes to the instance that is least loaded for what it can take, ties by lot:\n\n", d.address, service)
	open := map[string]int{}
	for i := 1; i <= 6; i++ {
		before := d.loads(open)
		where, err := d.connect(ctx)
		if err != nil {
			return fmt.Errorf("connect %d: %w; the broker's log ends:\n%s", i, err, d.tail("broker"))
		}
		fmt.Printf("  connect %d -> %s   sessions before it: %s\n", i, where, before)
		open[where]++
	}
	return nil
}

// loads tells how many of our sessions each instance has, and what it can take.
func (d *demo) loads(open map[string]int) string {
	var parts []string
	for _, i := range d.instances() {
		parts = append(parts, fmt.Sprintf("%s %d of %d", i.Name, open[i.Name], i.Max))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func (d *demo) connect(ctx context.Context) (where string, err error) {
	db, err := sql.Open("oracle", fmt.Sprintf("oracle://%s:%s@%s/%s", user, password, d.address, service))
	if err != nil {
		return "", err
	}
	d.connections = append(d.connections, db)
	db.SetMaxOpenConns(1)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = db.QueryRowContext(ctx, "select sys_context('USERENV','INSTANCE_NAME') from dual").Scan(&where)
	return where, err
}

func (d *demo) explain() {
	host, port, _ := net.SplitHostPort(d.address)
	fmt.Printf(`
Try it (user %[1]s, password %[2]s):

  any Oracle driver   %[3]s:%[4]s/%[5]s
  a descriptor        (DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=%[3]s)(PORT=%[4]s))(CONNECT_DATA=(SERVICE_NAME=%[5]s)))
  the live table      http://%[6]s/
  the API             http://%[6]s/api/v1/services
  sessions            bin/broker --api http://%[6]s sessions
  why there           bin/broker --api http://%[6]s explain sales
  a ping              bin/broker ping %[3]s:%[4]s/%[5]s
  the broker's log    %[7]s

Ctrl-C ends it all.
`, user, password, host, port, service, d.console, d.logOf("broker"))
}

// stop ends sessions, then databases, then the broker, and waits for them.
func (d *demo) stop() {
	for _, db := range d.connections {
		_ = db.Close()
	}
	for i := len(d.processes) - 1; i >= 0; i-- {
		_ = d.processes[i].Process.Signal(syscall.SIGTERM)
	}
	for i, exited := range d.exited {
		select {
		case <-exited:
		case <-time.After(patience / 4):
			_ = d.processes[i].Process.Kill()
			<-exited
		}
	}
}
