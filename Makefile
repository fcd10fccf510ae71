# make run    a broker, two test databases, a registered service, a balanced connect shown
# make test   everything that is tested, with the race detector; ends with a list of what was skipped
GO ?= go
STATICCHECK = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 10s
ONLY ?=
RELOADS ?= 1000
SOAK ?= 5m
KILLS ?= 30
KNOWN ?=
UPGRADES ?= 100
RESTARTS ?= 200
CRASHES ?= 200
INPUTS ?= 100000
SEED ?= 1
VERSION ?= $(shell sed -n 's/^const Version = "\(.*\)"/\1/p' broker/broker.go)

.PHONY: build run test check fuzz bench bench-dns attack chaos soak reloads cluster upgrades restarts crashes sim image package chart sbom reproduce floods clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/broker ./cmd/broker
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/testdb ./testenv/testdb

run: build
	@$(GO) run ./testenv/demo

test: build
	@scripts/testdeps
	@$(GO) run ./scripts/runtests ./testenv/drivers ./broker ./testenv/attack ./... # the longest first

# What a change has to pass besides the tests.
check:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'run gofmt -w on these files'; exit 1; }
	$(GO) vet ./...
	$(STATICCHECK) ./...
	$(GO) mod tidy -diff
	$(GO) run ./scripts/sbom -check

# Every fuzz target for FUZZTIME, two at a time; ends with what was found. FUZZTIME=10m for a long run, ONLY=tns or ONLY=Conversations for some of them.
fuzz:
	@ONLY='$(ONLY)' scripts/fuzz $(FUZZTIME)

# The broker beside HAProxy, nginx, CoreDNS, a bare server and none, by turns, in 25 minutes; docs/performance.md has the results.
# BENCH='-only connects -peers relay,haproxy -rounds 3 -time 1s' for a first look, BENCH='-write docs/performance.md' to write them anew.
bench: build
	@scripts/bench $(BENCH)

# Answers a second over DNS, beside CoreDNS in the same run; needs dnsperf.
bench-dns: build
	@scripts/bench-dns

# A hundred thousand inputs, made up and captured ones that were broken, at every door of a broker; INPUTS= and SEED= for others.
attack:
	$(GO) test ./testenv/attack -count=1 -timeout 60m -v -run 'TestMadeUpInputs$$|TestRegistrationsBrokenAtAnyByte$$' -args -inputs $(INPUTS) -seed $(SEED)

# Minutes of real drivers' connects while instances are killed, frozen, cut off, blocked and relocated; prints a table.
chaos: build
	@$(GO) run ./testenv/chaos

# Real drivers for minutes, or hours (SOAK=8h), while brokers and databases are killed, frozen, cut off, upgraded, flooded, starved
# and shown other times of day; prints a table. SOAKFLAGS="-seed 7" draws the same again, "-only upgrade" some of it.
soak: build
	@$(GO) run ./testenv/soak -for $(SOAK) $(SOAKFLAGS)

# The configuration reloaded a thousand times under load, half of the times from a broken file.
reloads:
	$(GO) test ./testenv/drivers -count=1 -timeout 20m -v -run 'TestReloads$$' -args -reloads $(RELOADS)

# One of three brokers killed every 10 s under 200 connects/s of real drivers with lists of addresses; prints a table.
# KNOWN=peers or consul: by what the brokers know of each other.
cluster:
	$(GO) test ./testenv/cluster -count=1 -timeout 60m -v -run 'TestBrokersKilled$$|TestPrivateSessions$$' -args -kills $(KILLS) -every 10s -real 200 -sessions 500 -known "$(KNOWN)"

# A hundred upgrades under 500 connects/s with 500 open transactions; sessions over TLS end with their generation.
# And as many whose successor is killed in its first moments.
upgrades:
	$(GO) test ./testenv/cluster -count=1 -timeout 60m -v -run 'TestUpgrades$$|TestSuccessorsKilled$$' -args -upgrades $(UPGRADES) -sessions 500 -rate 500 -drain 8s
	$(GO) test ./cmd/broker -count=1 -timeout 30m -v -run 'TestUpgradesInARow$$' -args -upgrades $(UPGRADES)

# A broker killed and started again before its databases are back, again and again.
restarts:
	$(GO) test ./testenv/cluster -count=1 -timeout 60m -v -run 'TestRestartBeforeDatabasesReturn$$' -args -restarts $(RESTARTS)

# A broker killed at random moments while instances and intents change all the time, some of the times in an upgrade.
crashes:
	$(GO) test ./testenv/cluster -count=1 -timeout 60m -v -run 'TestCrashes$$' -args -crashes $(CRASHES)

# The balancing policies compared in a simulated world; SIM=-quick for a first look.
sim:
	@$(GO) run ./scripts/sim $(SIM)

# The container image, for amd64 and arm64: bin/image is an OCI layout, bin/image.tar the same in one file.
image:
	@$(GO) run -C deploy/image . -version $(VERSION)

# What the program is made of: a bill of materials (CycloneDX), and the texts of all licences.
sbom:
	$(GO) run ./scripts/sbom -version $(VERSION) -o bin/sbom.json -notices bin/NOTICES

# deb and rpm packages, for both as well: bin/packages.
package:
	@$(GO) run -C deploy/packages . -version $(VERSION)

# The last commit built twice, in two folders and from nothing, into the same bytes: programs, packages and image.
reproduce:
	@scripts/reproduce

# The chart, looked at with Helm's own code.
chart:
	cd deploy/helm/check && $(GO) test -count=1 ./...

# What other clients get of a broker under each kind of attack by volume, beside a server that only answers; prints a table.
floods:
	$(GO) test -count 1 -v -timeout 20m -run TestOthersAreServedBesideAttacks ./testenv/flood -args -full

clean:
	rm -rf bin
