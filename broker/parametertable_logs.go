package broker

import (
	"strconv"
	"strings"

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
