//go:build http

package answer

import (
	"fmt"
	"net/http"
	"os"
)

// With serves what query returns.
func With(query func() (int, error)) error {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		n, err := query()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, n)
	})
	return http.ListenAndServe(os.Getenv("ADDR"), nil)
}
