package testenv

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"servicebroker/descriptor"
)

// InvalidError is a field or a command that nothing could be done with.
type InvalidError struct{ Problem, Remedy string }

// Error says what is wrong and what to do about it.
func (e *InvalidError) Error() string { return e.Problem + ": " + e.Remedy }

// invalid makes an InvalidError.
func invalid(remedy, problem string, args ...any) error {
	return &InvalidError{Problem: fmt.Sprintf(problem, args...), Remedy: remedy}
}

const nameRemedy = "use letters, digits and _ . - $"

// checkName refuses names that no descriptor could ask for.
func checkName(name string) error {
	if name == "" {
		return invalid(nameRemedy, "a name is empty")
	}
	if strings.ContainsAny(name, "()='\"\\#, \t\r\n\x00") {
		return invalid(nameRemedy, "the name %q cannot stand in a descriptor", name)
	}
	return nil
}

// parseEndpoint reads HOST:PORT.
func parseEndpoint(text string) (descriptor.Address, error) {
	host, portText, err := net.SplitHostPort(text)
	port, portErr := strconv.Atoi(portText)
	if err != nil || portErr != nil || checkName(host) != nil || port < 1 || port > 65535 {
		return descriptor.Address{}, invalid("write it as in db1:1521 or [::1]:1521", "%q is not HOST:PORT", text)
	}
	return descriptor.Address{Protocol: "TCP", Host: host, Port: port}, nil
}

// changeServices returns the services after some came and some went. It changes
// nothing and fails if one of them cannot.
func changeServices(now, add, drop []string) ([]string, error) {
	services := slices.Clone(now)
	for _, name := range drop {
		i := serviceIndex(services, name)
		if i < 0 {
			return nil, invalid("name one that there is", "there is no service %q to drop", name)
		}
		services = slices.Delete(services, i, i+1)
	}
	for _, name := range add {
		if err := checkName(name); err != nil {
			return nil, err
		}
		if serviceIndex(services, name) >= 0 {
			return nil, invalid("name another", "there is a service %q already", name)
		}
		services = append(services, name)
	}
	return services, nil
}

// serviceIndex finds a service by its name in any case; -1 if there is none.
func serviceIndex(services []string, name string) int {
	return slices.IndexFunc(services, func(s string) bool { return strings.EqualFold(s, name) })
}
