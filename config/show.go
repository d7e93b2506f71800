package config

import (
	"fmt"
	"log/slog"
	"strings"
)

// String returns the settings in the form of environment variables, one after
// another, for a log line. The connection string is redacted.
func (c Config) String() string {
	var words []string
	for _, v := range Variables() {
		if v.Field == "" {
			continue
		}
		text := v.text(c)
		if text == "" || strings.ContainsAny(text, " '\"") {
			text = fmt.Sprintf("%q", text)
		}
		words = append(words, v.Name+"="+text)
	}
	return strings.Join(words, " ")
}

// LogValue returns a group for log/slog, with one attribute for each variable.
// The connection string is redacted.
func (c Config) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, v := range Variables() {
		if v.Field != "" {
			attrs = append(attrs, slog.Any(strings.ToLower(v.Name), v.value(c)))
		}
	}
	return slog.GroupValue(attrs...)
}
