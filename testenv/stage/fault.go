package stage

import (
	"context"
	"errors"
	"syscall"
	"time"
)

// Fault is something that happens to databases, and how it is made good.
type Fault struct {
	Name   string
	Deadly bool // sessions of the instance may be lost with it
	Silent bool // the instance says nothing instead of refusing
	Strike func(context.Context) error
	Heal   func(context.Context) error
}

// Kill is the crash of an instance.
func Kill(d *Database) Fault {
	return Fault{Name: "kill -9, restart", Deadly: true,
		Strike: func(context.Context) error { d.Kill(); return nil },
		Heal:   d.Restart,
	}
}

// Shutdown is an orderly end, which waits for sessions, and a start.
func Shutdown(d *Database) Fault {
	return Fault{Name: "shut down, restart",
		Strike: func(ctx context.Context) error { return d.Tell(ctx, "/stop", struct{}{}) },
		Heal:   d.Restart,
	}
}

// Freeze is a machine that hangs: its kernel takes connections, and no one answers.
func Freeze(d *Database) Fault {
	return Fault{Name: "SIGSTOP, SIGCONT", Deadly: true, Silent: true,
		Strike: func(context.Context) error { return d.Signal(syscall.SIGSTOP) },
		Heal:   func(context.Context) error { return d.Signal(syscall.SIGCONT) },
	}
}

// DropPackets is a machine that is cut off without a word. It needs a database in a network of its own.
func DropPackets(d *Database) Fault {
	return Fault{Name: "packets dropped", Deadly: true, Silent: true,
		Strike: func(context.Context) error { return d.options.Network.Drop() },
		Heal:   func(context.Context) error { return d.options.Network.Pass() },
	}
}

// Block is an instance that takes no new sessions, as during a shutdown.
func Block(d *Database) Fault {
	return d.told("blocked, ready", "/status", StatusSetting{"blocked"}, StatusSetting{"ready"})
}

// Restrict is an instance open to administrators alone.
func Restrict(d *Database) Fault {
	return d.told("restricted, ready", "/status", StatusSetting{"restricted"}, StatusSetting{"ready"})
}

// Unregister cuts the registration of an instance that lives on and takes sessions.
func Unregister(d *Database) Fault {
	return d.told("registration cut, instance lives", "/registration", RegistrationSetting{false}, RegistrationSetting{true})
}

// ListenerHangs is a local listener that takes connections and says nothing.
func ListenerHangs(d *Database) Fault {
	f := d.told("listener hangs", "/listener", ListenerSetting{Mode: "hang"}, ListenerSetting{Mode: "accept"})
	f.Silent = true
	return f
}

// ListenerResets is a local listener that resets every connection.
func ListenerResets(d *Database) Fault {
	return d.told("listener resets", "/listener", ListenerSetting{Mode: "reset"}, ListenerSetting{Mode: "accept"})
}

// ListenerRefuses is a local listener that finds nothing free.
func ListenerRefuses(d *Database) Fault {
	return d.told("listener refuses (12516)", "/listener", ListenerSetting{Mode: "refuse", Code: 12516}, ListenerSetting{Mode: "accept"})
}

func (d *Database) told(name, path string, strike, heal any) Fault {
	return Fault{Name: name,
		Strike: func(ctx context.Context) error { return d.Tell(ctx, path, strike) },
		Heal:   func(ctx context.Context) error { return d.Tell(ctx, path, heal) },
	}
}

// UnregisterThenKill cuts the registration, and after a while the instance dies.
func UnregisterThenKill(d *Database, after time.Duration) Fault {
	return Fault{Name: "registration cut, then killed", Deadly: true,
		Strike: func(ctx context.Context) error {
			err := d.Tell(ctx, "/registration", RegistrationSetting{false})
			if err == nil {
				err = Pause(ctx, after)
			}
			d.Kill()
			return err
		},
		Heal: d.Restart,
	}
}

// ReportsStop freezes the links over which an instance reports its load: they stay open, and nothing comes.
func ReportsStop(links ...*Tap) Fault {
	each := func(do func(*Tap)) func(context.Context) error {
		return func(context.Context) error {
			for _, link := range links {
				do(link)
			}
			return nil
		}
	}
	return Fault{Name: "reports stop", Strike: each((*Tap).Freeze), Heal: each((*Tap).Thaw)}
}

// Relocate moves a service to another instance, with a gap in which it is nowhere. It is well once it is there.
func Relocate(service string, from, to *Database, gap time.Duration) Fault {
	return Fault{Name: "relocated with a gap of " + gap.String(),
		Strike: func(ctx context.Context) error {
			return from.Tell(ctx, "/services", ServicesSetting{Drop: []string{service}})
		},
		Heal: func(ctx context.Context) error {
			err := Pause(ctx, gap)
			return errors.Join(err, to.Tell(ctx, "/services", ServicesSetting{Add: []string{service}}))
		},
	}
}

// Pause waits.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
