// Package moment takes times that others have written. What can be read of them is more than what can be written: an offset of a day,
// or a year that is beyond four digits in UTC. It is a package of its own because several keep or show what others say, and one such
// time would keep all the rest from being written with it.
package moment

import (
	"fmt"
	"time"
)

// InUTC makes t, which others have written, one that can be written again. Where there is none it stays as it is, and the error names it.
func InUTC(name string, t *time.Time) error {
	utc := t.UTC().Round(0)
	if y := utc.Year(); y < 0 || y > 9999 {
		return fmt.Errorf("%s is in the year %d: give a time in the years 0 to 9999", name, y)
	}
	*t = utc
	return nil
}
