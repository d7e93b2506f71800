package pool

import "github.com/dbpool-go/dbpool/config"

// OpenURL is [Open] with [config.FromURL]: the default settings and a database.
//
//	p, err := pool.OpenURL("postgres://app:secret@db.internal:5432/orders")
func OpenURL(url string, opts ...Option) (*Pool, error) {
	cfg, err := config.FromURL(url)
	if err != nil {
		return nil, err
	}
	return Open(cfg, opts...)
}
