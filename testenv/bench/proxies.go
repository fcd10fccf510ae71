package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// The peers are set up as their manuals advise for many short and many idle TCP connections: a thread or worker for each core,
// no logs, no limits that are reached here.

const haproxyConfig = `global
  maxconn 8000
  maxpipes 500
  nbthread %d
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
%s
listen bench
  bind %s backlog 4096
  balance leastconn
  server instance1 %s
`

const nginxConfig = `load_module %s;
worker_processes %d;
worker_rlimit_nofile 20000;
daemon off;
pid %s/nginx.pid;
error_log stderr crit;
events { worker_connections 17000; multi_accept on; }
stream {
  access_log off;
  tcp_nodelay on;
  server {
    listen %s reuseport backlog=4096;
    proxy_connect_timeout 5s;
    proxy_timeout 1h;
    proxy_pass %s;
  }
}
`

// errMissing says that a peer is not on this machine.
var errMissing = errors.New("is not here: scripts/bench says how to get it")

// find looks for a program in the path and where administrators' programs are, and among those that scripts/testdeps fetched.
func find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, folder := range []string{".testdeps/bin", "/usr/sbin", "/usr/local/sbin", "/usr/local/bin"} {
		if path, err := filepath.Abs(filepath.Join(folder, name)); err == nil {
			if _, err := os.Stat(path); err == nil {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("%s %w", name, errMissing)
}

// startHAProxy starts HAProxy between an address and the backend. more are further lines of its defaults.
func (l *lab) startHAProxy(name, more, listen, backend string) (*process, error) {
	program, err := find("haproxy")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(l.folder, name+".cfg")
	if err := os.WriteFile(file, fmt.Appendf(nil, haproxyConfig, l.cores, more, listen, backend), 0o600); err != nil {
		return nil, err
	}
	return start(l.folder, name, program, "-db", "-f", file)
}

// startNginx starts nginx likewise. Its stream module may be built in or a file of its own.
func (l *lab) startNginx(listen, backend string) (*process, error) {
	program, err := find("nginx")
	if err != nil {
		return nil, err
	}
	module, err := streamModule(program)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(l.folder, "nginx.conf")
	text := fmt.Appendf(nil, nginxConfig, module, l.cores, l.folder, listen, backend)
	if module == "" { // built in
		text = text[len("load_module ;\n"):]
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	return start(l.folder, "nginx", program, "-p", l.folder, "-e", "stderr", "-c", file)
}

// streamModule is the file of nginx's stream module; "" where it is built in.
func streamModule(program string) (string, error) {
	for _, folder := range []string{filepath.Dir(program), "/usr/lib/nginx/modules", "/usr/lib64/nginx/modules"} {
		file := filepath.Join(folder, "ngx_stream_module.so")
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	options, err := exec.CommandContext(context.Background(), program, "-V").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("nginx -V: %w", err)
	}
	if !hasStream(string(options)) {
		return "", fmt.Errorf("the stream module of nginx %w", errMissing)
	}
	return "", nil
}
