package fleet

import "testing"

func TestKeysStayInTheDocumentedSpace(t *testing.T) {
	low, high := NewKeys(DefaultKeySpace, "x").bounds()
	if int32(low) != -620756992 || int32(high) != -603979777 {
		t.Errorf("the documentation says otherwise: %d to %d", int32(low), int32(high))
	}
	for _, service := range []string{"", "orders", "a rather long name of a service"} {
		for of := kindToken; of <= kindWatcher; of++ {
			class := NewKeys(DefaultKeySpace, service).class(of)
			if class < low || class > high || kindOf(class) != of {
				t.Errorf("%q, kind %d: %x", service, of, class)
			}
		}
	}
	if NewKeys(1, "orders").class(kindToken) == NewKeys(2, "orders").class(kindToken) || NewKeys(1, "a").class(kindToken) == NewKeys(1, "b").class(kindToken) {
		t.Error("spaces or services share keys")
	}
}

func TestDemandValues(t *testing.T) {
	for _, d := range []int{0, 1, 77, maxDemand} {
		if got := demandOf(demandValue(123, d)); got != d {
			t.Errorf("%d became %d", d, got)
		}
	}
	if demandOf(demandValue(1, -5)) != 0 || demandOf(demandValue(1, maxDemand+1)) != maxDemand {
		t.Error("demands out of range")
	}
	for _, pair := range [][2]uint32{{1, 0}, {500, 3}, {0, serialMask}, {5, serialMask - 5}} {
		later, earlier := demandValue(pair[0], 1), demandValue(pair[1], 9)
		if !newer(later, earlier) || newer(earlier, later) || newer(later, later) {
			t.Errorf("%d is newer than %d", pair[0], pair[1])
		}
	}
}

func FuzzScene(f *testing.F) {
	f.Add([]byte{0xDB, 0x10, 0, 0, 0, 0, 0, 1, 9}, 5)
	keys := NewKeys(DefaultKeySpace, "orders")
	f.Fuzz(func(t *testing.T, b []byte, budget int) {
		budget = max(0, min(budget, 50))
		seen := &Snapshot{}
		for ; len(b) >= 3; b = b[3:] {
			seen.Locks = append(seen.Locks, Lock{Class: keys.class(kind(b[0] % 8)), Key: uint32(b[1] % 64), PID: uint32(b[2])})
		}
		v := lockViewOf(seen, keys).view(Plan{Tokens: budget})
		held := v.Free
		for _, m := range v.Members {
			held += m.Held
		}
		if v.Free < 0 || held > budget {
			t.Errorf("%+v of %d", v, budget)
		}
		for _, m := range v.Members {
			if move := v.Decide(m.ID); move.Claim < 0 || move.Give < 0 || move.Claim > max(0, v.Free) {
				t.Errorf("%+v", move)
			}
		}
	})
}
