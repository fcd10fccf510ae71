package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// The packages are the same each time, install and go again, and hold what they should.
func TestPackages(t *testing.T) {
	module(t, "packages")
	builder := built(t, "packages", ".")
	folders := [2]string{t.TempDir(), t.TempDir()}
	for i, folder := range folders {
		machines := "amd64,arm64"
		if i == 1 {
			machines = "amd64"
		}
		said, err := runIn(t.Context(), "packages", builder, "-out", folder, "-version", "1.2.3", "-machines", machines)
		if err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		t.Log(said)
	}
	for _, name := range []string{"servicebroker_1.2.3-1_amd64.deb", "servicebroker-1.2.3-1.x86_64.rpm"} {
		if one, other := digest(t, filepath.Join(folders[0], name)), digest(t, filepath.Join(folders[1], name)); one != other {
			t.Errorf("built twice, %s differs", name)
		}
	}
	t.Run("deb", func(t *testing.T) { testDeb(t, folders[0]) })
	t.Run("rpm", func(t *testing.T) { testRPM(t, folders[0]) })
}

// packaged is what the main package has at least.
var packaged = []string{
	"/usr/bin/broker", "/usr/lib/systemd/system/servicebroker.service", "/usr/lib/systemd/system/servicebroker@.service",
	"/usr/lib/systemd/system/servicebroker.socket", "/usr/lib/sysusers.d/servicebroker.conf", "/etc/servicebroker/cman.ora",
	"/usr/share/doc/servicebroker/operations.md", "/usr/share/doc/servicebroker/copyright", "/usr/share/doc/servicebroker/NOTICES", "/usr/share/doc/servicebroker/sbom.json", "/usr/share/servicebroker/alerts.yaml",
}

// testDeb installs, upgrades and purges in a root of its own.
func testDeb(t *testing.T, folder string) {
	dpkg := tool(t, "dpkg", "this needs Debian or what descends from it")
	tool(t, "systemd-sysusers", "run scripts/testdeps as root, or apt-get install systemd")
	asRoot(t, "installing a package in another root")
	machine, tools := filepath.Join(folder, "servicebroker_1.2.3-1_"+runtime.GOARCH+".deb"), filepath.Join(folder, "servicebroker-tools_1.2.3-1_all.deb")
	if said := output(t, "dpkg-deb", "-I", machine); !regexp.MustCompile(`(?m)^ Version: 1\.2\.3-1$`).MatchString(said) || !strings.Contains(said, "conffiles") {
		t.Errorf("dpkg-deb -I says\n%s", said)
	}
	root := t.TempDir()
	for _, sub := range []string{"/var/lib/dpkg/info", "/var/lib/dpkg/updates", "/etc"} {
		must(t, os.MkdirAll(root+sub, 0o755))
	}
	must(t, os.WriteFile(root+"/var/lib/dpkg/status", nil, 0o644))
	do := func(arguments ...string) string {
		t.Helper()
		return output(t, dpkg, append([]string{"--root=" + root, "--force-script-chrootless", "--force-architecture", "--log=" + root + "/dpkg.log"}, arguments...)...)
	}
	do("-i", machine, tools)
	for _, path := range packaged {
		if _, err := os.Stat(root + path); err != nil {
			t.Error(err)
		}
	}
	if passwd, err := os.ReadFile(root + "/etc/passwd"); err != nil || !strings.Contains(string(passwd), "servicebroker:") {
		t.Errorf("no user was made: %v\n%s", err, passwd)
	}
	said, err := run(t.Context(), root+"/usr/bin/cmctl", "help")
	if err != nil || !strings.Contains(said, "The following operations are available") {
		t.Errorf("cmctl by its link: %v\n%s", err, said)
	}
	if said := output(t, root+"/usr/bin/broker", "check", root+"/etc/servicebroker/cman.ora"); strings.Contains(said, "error:") {
		t.Errorf("the file that is handed out: %s", said)
	}
	must(t, os.WriteFile(root+"/etc/servicebroker/cman.ora", []byte("# mine\n"), 0o644))
	do("--force-confold", "-i", machine)
	if mine, err := os.ReadFile(root + "/etc/servicebroker/cman.ora"); err != nil || string(mine) != "# mine\n" {
		t.Errorf("an upgrade made of the configuration: %q %v", mine, err)
	}
	must(t, os.MkdirAll(root+"/var/lib/servicebroker/acme", 0o700))
	do("--purge", "servicebroker-tools", "servicebroker")
	for _, path := range []string{"/usr/bin/broker", "/usr/bin/cmctl", "/etc/servicebroker", "/var/lib/servicebroker"} {
		if _, err := os.Lstat(root + path); err == nil {
			t.Errorf("%s is left after a purge", path)
		}
	}
}

func testRPM(t *testing.T, folder string) {
	rpm := tool(t, "rpm", "run scripts/testdeps as root, or apt-get install rpm")
	file := filepath.Join(folder, "servicebroker-1.2.3-1.x86_64.rpm")
	list := strings.Fields(output(t, rpm, "-qlp", file))
	for _, path := range packaged {
		if !strings.Contains(" "+strings.Join(list, " ")+" ", " "+path+" ") {
			t.Errorf("no %s in it", path)
		}
	}
	if said := strings.TrimSpace(output(t, rpm, "-qp", "--configfiles", file)); said != "/etc/servicebroker/cman.ora" {
		t.Errorf("configuration files are %q", said)
	}
	if said := output(t, rpm, "-qp", "--scripts", file); !strings.Contains(said, "postinstall scriptlet") || !strings.Contains(said, "SIGUSR2") {
		t.Errorf("scripts are\n%s", said)
	}
	asRoot(t, "installing a package in another root")
	root := t.TempDir()
	output(t, rpm, "--root="+root, "--dbpath=/var/lib/rpm", "-i", "--noscripts", "--nodeps", "--ignorearch", file, filepath.Join(folder, "servicebroker-tools-1.2.3-1.noarch.rpm"))
	for _, path := range append([]string{"/usr/bin/tnsping"}, packaged...) {
		if _, err := os.Lstat(root + path); err != nil {
			t.Error(err)
		}
	}
}

// systemctl stands in for systemd's: it notes what it is asked, and knows two running brokers.
const systemctl = `#!/bin/sh
echo "$*" >>"$ASKED"
case "$1" in list-units) printf 'servicebroker.service loaded active running\nservicebroker@CMAN1.service loaded active running\n' ;; esac
`

// What is done after an upgrade hands over; nothing but a removal stops a broker.
func TestPackageScripts(t *testing.T) {
	asRoot(t, "a machine with a systemd of its own")
	tool(t, "unshare", "install util-linux")
	const handOver = "kill --kill-who=main --signal=SIGUSR2 servicebroker.service\nkill --kill-who=main --signal=SIGUSR2 servicebroker@CMAN1.service\n"
	for _, c := range []struct{ name, script, arguments, want, not string }{
		{"deb, first", "postinstall.sh", "configure", "install -d -m 0750 -o servicebroker -g servicebroker /var/log/servicebroker\ndaemon-reload", "kill"},
		{"rpm, first", "postinstall.sh", "1", "daemon-reload", "kill"},
		{"deb, upgrade", "postinstall.sh", "configure 0.9.0-1", handOver, "restart"},
		{"rpm, upgrade", "postinstall.sh", "2", handOver, "restart"},
		{"deb, before an upgrade", "preremove.sh", "upgrade 1.2.4-1", "", "disable"},
		{"rpm, before an upgrade", "preremove.sh", "1", "", "disable"},
		{"deb, removal", "preremove.sh", "remove", "disable --now servicebroker.socket servicebroker.service", "kill"},
		{"rpm, removal", "preremove.sh", "0", "disable --now servicebroker@CMAN1.service", "kill"},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			asked := filepath.Join(folder, "asked")
			must(t, os.WriteFile(asked, nil, 0o644))
			must(t, os.WriteFile(folder+"/systemctl", []byte(systemctl), 0o755))
			must(t, os.WriteFile(folder+"/install", []byte("#!/bin/sh\necho \"install $*\" >>\"$ASKED\"\n"), 0o755))
			must(t, os.WriteFile(folder+"/systemd-sysusers", []byte("#!/bin/sh\n"), 0o755))
			script, err := filepath.Abs("packages/scripts/" + c.script)
			must(t, err)
			said := output(t, "env", "PATH="+folder+":"+os.Getenv("PATH"), "ASKED="+asked, "unshare", "--mount", "sh", "-c",
				"mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && exec sh -eu "+script+" "+c.arguments)
			text, err := os.ReadFile(asked)
			must(t, err)
			if !strings.Contains(string(text), c.want) || strings.Contains(string(text), c.not) {
				t.Errorf("systemctl was asked:\n%s\nand it was said:\n%s", text, said)
			}
		})
	}
}
