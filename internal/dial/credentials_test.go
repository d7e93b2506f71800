package dial

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// vault hands out a password that it renews after a while.
type vault struct {
	asked atomic.Int64
	took  time.Duration
	err   error
}

func (v *vault) credentials() *credentials {
	return &credentials{ctx: context.Background(), timeout: time.Minute, supply: func(ctx context.Context) (Credentials, error) {
		n := v.asked.Add(1)
		select {
		case <-time.After(v.took):
		case <-ctx.Done():
			return Credentials{}, ctx.Err()
		}
		return Credentials{Password: fmt.Sprint("answer ", n)}, v.err
	}}
}

// TestRenewOnce has eight dials refused together: one renewal serves them all,
// those too that ask when it is over.
func TestRenewOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vault{}
		k := v.credentials()
		var logins []*login
		for range 8 {
			l, err := k.get(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			logins = append(logins, l)
		}
		v.took = time.Second
		inParallel(4, func(i int) { wantRenewed(t, k, logins[i], "answer 9") })
		inParallel(4, func(i int) { wantRenewed(t, k, logins[4+i], "answer 9") })
		fresh, _ := k.get(t.Context())
		wantRenewed(t, k, fresh, "answer 11") // this one was refused with what came after the renewal
		if n := v.asked.Load(); n != 8+1+1+1 {
			t.Errorf("asked %d times", n)
		}
	})
}

func wantRenewed(t *testing.T, k *credentials, refused *login, want string) {
	t.Helper()
	l, err := k.renew(t.Context(), refused)
	if err != nil || l.Password != want {
		t.Errorf("%v, %v, want %q", l, err, want)
	}
}

// TestRenewalOutlivesItsDial has the dial that began a renewal end: the others
// get the answer all the same.
func TestRenewalOutlivesItsDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vault{}
		k := v.credentials()
		first, _ := k.get(t.Context())
		second, _ := k.get(t.Context())
		v.took = 10 * time.Second
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() {
			if _, err := k.renew(ctx, first); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}()
		time.Sleep(2 * time.Second)
		wantRenewed(t, k, second, "answer 3")
	})
}

// TestCredentialsStaySecret prints them in all the ways there are.
func TestCredentialsStaySecret(t *testing.T) {
	c := Credentials{User: "who-is-it", Password: "hush-hush"}
	l := &login{Credentials: c}
	for _, text := range []string{fmt.Sprint(c, &c, l), fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c, c), fmt.Sprintf("%+v", l)} {
		for _, secret := range []string{c.User, c.Password} {
			if strings.Contains(text, secret) {
				t.Errorf("%q shows %q", text, secret)
			}
		}
	}
}

// TestSupplierFails reports what the supplier says.
func TestSupplierFails(t *testing.T) {
	v := &vault{err: errors.New("vault sealed")}
	_, err := v.credentials().get(t.Context())
	d := Explain(err)
	if d.Reason != "credentials" || !strings.Contains(d.Message, "vault sealed") {
		t.Errorf("%+v", d)
	}
}

func inParallel(n int, work func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { work(i) })
	}
	wg.Wait()
}
