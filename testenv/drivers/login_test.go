package drivers

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Both kinds of password verifiers let the right password in and no other.
func TestVerifiers(t *testing.T) {
	for _, verifier := range []string{"12c", "11g"} {
		t.Run(verifier, func(t *testing.T) {
			b := startBroker(t, brokerOptions{})
			startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}, brokers: []string{b.address},
				arguments: []string{"--verifier", verifier, "--user", "other/" + strings.Repeat("pass word ", 3)}})
			b.awaitService(t, "sales", "READY", 1)
			target := b.descriptor("(SERVICE_NAME=sales)")
			as := func(user, password string) Step {
				return Step{Do: Connect, On: "c", User: user, Password: password, Target: target}
			}
			whoAmI := exchange{query("c", "select user from dual"), rows([]Value{Varchar("OTHER")})}
			eachDriver(t, func(t *testing.T, d Driver) {
				judge(t, d, []exchange{
					{as(appUser, strings.ToLower(appPassword)), fails("ORA-01017")},
					{as(appUser, appPassword+"x"), fails("ORA-01017")},
					{as("nobody", appPassword), fails("ORA-01017")},
					{as(appUser, strings.Repeat("pass word ", 3)), fails("ORA-01017")},
					{as("other", strings.Repeat("pass word ", 3)), nil},
					whoAmI,
					{do(Close, "c"), nil},
					{as("OTHER", strings.Repeat("pass word ", 3)), nil},
					whoAmI,
				})
			})
		})
	}
}

// A user may log in on behalf of another, without knowing the other's password.
func TestProxyUser(t *testing.T) {
	b := startBroker(t, brokerOptions{})
	startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}, brokers: []string{b.address},
		arguments: []string{"--user", "owner/secret"}})
	b.awaitService(t, "sales", "READY", 1)
	login := Step{Do: Connect, On: "c", User: appUser + "[owner]", Password: appPassword, Target: b.descriptor("(SERVICE_NAME=sales)")}
	eachDriver(t, func(t *testing.T, d Driver) {
		judge(t, d, []exchange{
			{login, nil},
			{query("c", "select user, sys_context('USERENV','PROXY_USER') from dual"), rows([]Value{Varchar("OWNER"), Varchar("APP")})},
		})
	})
}

// Many at a time get through, each to its own session: nobody sees another's rows.
func TestManyClients(t *testing.T) {
	l := startLandscape(t)
	const clients, visits = 30, 4
	l.eachMode(t, func(t *testing.T, b *broker) {
		var group sync.WaitGroup
		for i := range clients {
			group.Go(func() {
				mine := Number(fmt.Sprint(i*1000 + 7))
				name := Varchar(strings.Repeat(fmt.Sprint(i, ";"), 1+i*30))
				var exchanges []exchange
				for range visits {
					exchanges = append(exchanges, exchange{open("c", b.descriptor("(SERVICE_NAME=sales)")), nil})
					for range 5 {
						exchanges = append(exchanges, exchange{query("c", "select :1 + 0, :2 from dual", mine, name), rows([]Value{mine, name})})
					}
					exchanges = append(exchanges, exchange{do(Close, "c"), nil})
				}
				results, err := GoOra{}.Run(t.Context(), stepsOf(exchanges), nil)
				if err != nil {
					t.Error(err)
					return
				}
				compare(t, GoOra{}, exchanges, results)
			})
		}
		group.Wait()
		b.awaitNoSessions(t)
	})
}
