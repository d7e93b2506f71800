package serverview

import "testing"

func TestReckoning(t *testing.T) {
	for _, tc := range []struct {
		name         string
		view         View
		usable, free int
		percent      float64
		by           Bound
	}{
		{"reserves count", View{MaxConnections: 100, SuperuserReserved: 3, Reserved: 2, RoleLimit: -1, DatabaseLimit: -1, Sessions: 38}, 95, 57, 40, BoundServer},
		{"reserved role", View{MaxConnections: 100, SuperuserReserved: 3, Reserved: 2, MayUseReserved: true, RoleLimit: -1, DatabaseLimit: -1, Sessions: 97}, 97, 0, 100, BoundServer},
		{"superuser", View{MaxConnections: 100, SuperuserReserved: 3, Superuser: true, RoleLimit: 1, DatabaseLimit: 1, RoleSessions: 5, Sessions: 50}, 100, 50, 50, BoundServer},
		{"role limit", View{MaxConnections: 100, SuperuserReserved: 3, RoleLimit: 10, RoleSessions: 8, DatabaseLimit: 50, DatabaseSessions: 9, Sessions: 12}, 10, 2, 80, BoundRole},
		{"database limit", View{MaxConnections: 100, SuperuserReserved: 3, RoleLimit: 30, RoleSessions: 3, DatabaseLimit: 20, DatabaseSessions: 18, Sessions: 20}, 20, 2, 90, BoundDatabase},
		{"smallest need not be fullest", View{MaxConnections: 20, SuperuserReserved: 0, RoleLimit: 10, RoleSessions: 1, DatabaseLimit: -1, Sessions: 18}, 10, 2, 90, BoundServer},
		{"role shut out", View{MaxConnections: 20, RoleLimit: 0, DatabaseLimit: -1, Sessions: 1}, 0, 0, 100, BoundRole},
		{"beyond", View{MaxConnections: 10, SuperuserReserved: 3, RoleLimit: -1, DatabaseLimit: -1, Sessions: 9}, 7, 0, 100 * 9.0 / 7, BoundServer},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := tc.view
			v.reckon()
			if v.Usable != tc.usable || v.Free != tc.free || v.UsagePercent != tc.percent || v.BoundBy != tc.by {
				t.Errorf("usable %d, free %d, %.1f %% of %s; want %d, %d, %.1f of %s", v.Usable, v.Free, v.UsagePercent, v.BoundBy, tc.usable, tc.free, tc.percent, tc.by)
			}
		})
	}
}

func TestApplicationsBeyondTheListAreCounted(t *testing.T) {
	v := View{MaxConnections: 100, Sessions: 60, Applications: []Application{{Sessions: 40}, {Sessions: 11}}}
	v.reckon()
	if v.OtherApps != 9 {
		t.Errorf("%d others, want 9", v.OtherApps)
	}
}

func TestAnswersThatAreNoViewAreErrors(t *testing.T) {
	for _, doc := range []string{"", "null]", `{"sessions":"many"}`} {
		if _, err := parse(doc); err == nil {
			t.Errorf("%q was taken for a view", doc)
		}
	}
}
