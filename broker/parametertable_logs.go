package broker

import (
	"strconv"
	"strings"
	"time"

	"servicebroker/descriptor"
)

// logParameters are about what is written down, and where.
func logParameters() []Parameter {
	return []Parameter{
		{Name: "EVENT_GROUP", Kind: KindOracle, Live: true, Default: "all", Range: "all, none, " + strings.Join(eventGroups, ", "), Meaning: "which families of events `<instance>.log` has; warnings and errors are always there", Cost: "what is left out cannot be looked up later", set: setEventGroup},
		{Name: "LOG_DIRECTORY", Kind: KindOracle, Live: true, Range: "folder", Meaning: "also write `listener.log` and `<instance>.log` there", Cost: "a slow disk loses lines, never connects", set: text(func(c *Config) *string { return &c.LogDirectory })},
		{Name: "LOG_FILE_NUM", Kind: KindOracle, Live: true, Default: "5", Unit: "files", Range: "1–1000", Meaning: "files of each log that are kept: the one that is written, and older ones as .1, .2 …", Cost: "times LOG_FILE_SIZE, twice, is the room they take", set: number(1, 1000, func(c *Config) *int { return &c.LogFileNum })},
		{Name: "LOG_FILE_SIZE", Kind: KindOracle, Live: true, Default: "100", Unit: "MB", Range: "number, also with k, M, G; 0 no bound", Meaning: "how large a log file grows before the next is begun", Cost: "0 leaves rotation to others, such as logrotate", set: setLogFileSize},
		{Name: "LOG_LEVEL", Kind: KindOracle, Live: true, Default: defaultLogLevel, Range: "off, user, admin, support; 0–16", Meaning: "how much is logged, on standard output and in `<instance>.log`: off errors alone, admin and support each message of each registration", Cost: "admin and support write a lot; off hides why connects are refused", set: setLogLevel},
		{Name: "LOG_REPEATS", Kind: KindOurs, Live: true, Default: "0", Unit: "s", Range: "0 writes every line", Meaning: "`service_update` of the same instance, and `ping`, have no more than one line of `listener.log` in so long, and the next says how many were left out", Cost: "who counts these lines counts wrong", set: duration(func(c *Config) *time.Duration { return &c.LogRepeats })},
		{Name: "TRACE_DIRECTORY", Kind: KindOracle, Live: true, Default: "LOG_DIRECTORY, else the state directory", Range: "folder", Meaning: "where packet traces go, see `broker trace`", Cost: "who can read them sees what clients do", set: text(func(c *Config) *string { return &c.TraceDirectory })},
		{Name: "TRACE_FILELEN", Kind: KindOracle, Live: true, Default: "10240", Unit: "kB", Range: "1–10485760", Meaning: "how large the file of a trace may grow", Cost: "the room it takes", set: kilobytes(func(c *Config) *int64 { return &c.TraceFileSize })},
		{Name: "TRACE_FILENO", Kind: KindOracle, Live: true, Default: "1", Unit: "files", Range: "0–100; 0 is one", Meaning: "files of a trace: with one it is over when that is full, with more the oldest goes then", Cost: "times TRACE_FILELEN is the room it takes", set: number(0, 100, func(c *Config) *int { return &c.TraceFileNum })},
	}
}

// kilobytes takes a number of them; 0, which is no bound to Oracle, is the default here.
func kilobytes(field func(*Config) *int64) func(*Config, *descriptor.Node) error {
	return func(c *Config, n *descriptor.Node) error {
		var count int
		if err := number(0, 10<<20, func(*Config) *int { return &count })(c, n); err != nil || count == 0 {
			return err
		}
		*field(c) = int64(count) << 10
		return nil
	}
}

// setLogFileSize reads a size whose plain numbers are megabytes, as in listener.ora.
func setLogFileSize(c *Config, n *descriptor.Node) (err error) {
	value := strings.TrimSpace(n.Value)
	if _, err := strconv.ParseFloat(value, 64); err == nil {
		value += "M"
	}
	c.LogFileSize, err = ParseSize(value)
	return err
}

func setLogLevel(c *Config, n *descriptor.Node) error {
	word := logLevelWord(n.Value)
	if word == "" {
		return unknownWord(n.Value, "off", "user", "admin", "support")
	}
	c.LogLevel = word
	return nil
}
