package config

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"text/template"
	"time"
)

// renderings returns every way in which a value commonly reaches a log.
func renderings(t *testing.T, value any) string {
	t.Helper()
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%10.3v"} {
		fmt.Fprintf(&b, verb+"\n", value)
	}
	fmt.Fprintln(&b, value, []any{value}, map[string]any{"k": value}, fmt.Errorf("wrapped: %v", value))
	for _, handler := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(handler).Info("m", "k", value, slog.Any("group", []any{value}))
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	b.Write(text)
	if text, err = xml.Marshal(value); err != nil {
		t.Fatal(err)
	}
	b.Write(text)
	if err := template.Must(template.New("").Parse("{{.}}{{printf `%v` .}}")).Execute(&b, value); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// holders returns the things a DSN sits in.
func holders(d DSN) []any {
	c := Default()
	c.DatabaseURL = d
	type service struct {
		Config Config
		Ptr    *Config
		URL    DSN
	}
	return []any{d, &d, c, &c, service{c, &c, d}, &service{c, &c, d}, []DSN{d}, []Config{c}}
}

// leaks reports whether text holds the secret, as it is or as hexadecimal.
func leaks(text, secret string) bool {
	return strings.Contains(text, secret) ||
		strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", secret))
}

func TestNoRenderingShowsThePassword(t *testing.T) {
	const secret = "hunter2"
	for _, dsn := range []DSN{
		"postgres://app:hunter2@db/orders",
		"postgres://db/orders?password=hunter2",
		"host=db password=hunter2",
		"postgres://app:100%hunter2@db/orders",
		"hunter2",
	} {
		for _, holder := range holders(dsn) {
			if text := renderings(t, holder); leaks(text, secret) {
				t.Errorf("%T shows the password of %s:\n%s", holder, string(dsn), text)
			}
		}
	}
}

func TestRenderingsShowTheRest(t *testing.T) {
	const shown = "postgres://app:xxxxx@db/orders"
	for _, holder := range holders("postgres://app:hunter2@db/orders")[:4] {
		for _, text := range strings.Split(renderings(t, holder), "\n")[:5] {
			if !strings.Contains(text, shown) {
				t.Errorf("%T does not show where the database is: %s", holder, text)
			}
		}
	}
}

func TestConfigString(t *testing.T) {
	c := Production()
	c.Name = "orders"
	c.DatabaseURL = "host=db password='hunter2'"
	c.ApplicationName = "it's"
	c.OverflowLinger = 1500 * time.Millisecond
	want := `DATABASE_URL="host=db password=xxxxx" DB_POOL_NAME=orders DB_APPLICATION_NAME="it's" DB_POOL_SIZE=3 DB_MAX_OVERFLOW=3 ` +
		`DB_MIN_IDLE=0 DB_POOL_TIMEOUT=30 DB_POOL_RECYCLE=600 DB_CONNECT_TIMEOUT=10 DB_STATEMENT_TIMEOUT=30000 DB_OVERFLOW_LINGER=1.5s DB_MAX_WAITERS=0 ` +
		`DB_LEAK_THRESHOLD=60 DB_RECLAIM_AFTER=0 DB_NESTED=wait DB_PIPELINE=reads DB_RESET=off DATABASE_READ_URL="" DB_READ_SHARE=50% DB_READ_WAIT=1 DB_POOLER=auto DB_FLEET=warn DB_FLEET_REPLICAS=0 DB_FLEET_SURGE=1 DB_FLEET_BUDGET="" DB_FLEET_KEYSPACE=219 ENABLE_POOL_MONITORING=true ` +
		`LOG_POOL_STATUS_INTERVAL=300 MAX_CONNECTION_WARNINGS=80`
	if got := c.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestConfigLogValue(t *testing.T) {
	attrs := Default().LogValue().Group()
	if len(attrs) != len(Variables())-1 { // DB_ENV sets no field
		t.Errorf("%d attributes: %v", len(attrs), attrs)
	}
	for _, a := range attrs {
		if a.Key == "db_pool_timeout" && a.Value.Duration() != 30*time.Second {
			t.Errorf("got %v", a)
		}
	}
}

// The fuzzer writes around a planted password whatever it likes; no rendering
// of the result shows it.
func FuzzSecretStaysSecret(f *testing.F) {
	for form := range byte(6) {
		f.Add("postgres://app", "db/orders?sslmode=require", form)
		f.Add("host=db ", " dbname=orders", form)
		f.Add("postgres://h1,app", "h2:5432/x@y", form)
		f.Add("application_name=", "", form)
		f.Add("user='a b", "' x=y", form)
		f.Add("postgres://[", "]:1/", form)
		f.Add("postgres://db/orders?application_name=", "&x=%", form)
		f.Add(`host=a\`, `\`, form)
	}
	const secret = "S3cr3tZq"
	f.Fuzz(func(t *testing.T, before, after string, form byte) {
		if strings.Contains(before+after, secret[:4]) {
			return // the fuzzer wrote the secret somewhere else too
		}
		planted := []string{
			":" + secret + "@",
			"password=" + secret,
			"sslpassword=" + secret,
			" password='" + secret + "' ",
			"&password=" + secret + "&",
			"password = " + secret + " ",
		}[int(form)%6]
		for _, holder := range holders(DSN(before + planted + after))[:3] {
			if text := renderings(t, holder); leaks(text, secret) {
				t.Errorf("%q is shown as\n%s", before+planted+after, text)
			}
		}
		environ := with("DATABASE_URL", before+planted+after, "DB_POOL_SIZE", before+planted+after)
		if c, err := From(environ); err == nil || leaks(err.Error(), secret) || c != (Config{}) {
			t.Errorf("%q is reported as\n%v", before+planted+after, err)
		}
	})
}

// Whatever the password, the rest of a well-formed string stays readable.
func FuzzRedactedStaysReadable(f *testing.F) {
	for _, s := range []string{"hunter2", "", "a/b@c:d?e&f#g", "100%", "it's", `back\slash`, " ", "密码", "x'y z=w", "\xff\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, password string) {
		if strings.Contains(password, "\x00") {
			return // libpq has no zero byte either
		}
		url := DSN("postgres://app:" + escape(password) + "@db.example.com:5432/orders?sslmode=require")
		want := "postgres://app:xxxxx@db.example.com:5432/orders?sslmode=require"
		if password == "" {
			want = strings.Replace(want, ":xxxxx", "", 1)
		}
		if got := url.Redacted(); got != want {
			t.Errorf("URL: got %s", got)
		}
		words := DSN(writeKeywords([]pair{{"host", "db"}, {"user", "app"}, {"password", password}, {"dbname", "orders"}}))
		if got := words.Redacted(); got != "host=db user=app password=xxxxx dbname=orders" {
			t.Errorf("keywords: got %s", got)
		}
		for _, d := range []DSN{url, words} {
			if said, err := d.settings(); err != nil || said["password"] != password {
				t.Errorf("the password %q comes back as %q, %v", password, said["password"], err)
			}
		}
	})
}
