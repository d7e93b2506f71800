package doctor

import (
	"encoding/json"
	"io"

	"github.com/dbpool-go/dbpool/monitor/serverview"
)

// document is the diagnosis for scripts. Fields are added, never renamed.
type document struct {
	Target      string                `json:"target"`
	Level       string                `json:"level"`
	ExitCode    int                   `json:"exit_code"`
	Error       string                `json:"error,omitempty"` // why nothing could be examined
	Findings    []finding             `json:"findings"`
	Application string                `json:"application,omitempty"` // the fleet's application_name
	Replicas    int                   `json:"replicas,omitempty"`
	Counted     string                `json:"replicas_from,omitempty"`
	Usable      int                   `json:"usable"`
	Need        int                   `json:"need"`
	Fits        bool                  `json:"fits"`
	Arithmetic  []string              `json:"arithmetic"`
	Remedies    []Remedy              `json:"remedies"`
	Server      *serverview.View      `json:"server,omitempty"`
	Queries     []serverview.Query    `json:"queries"`
	LockWaits   []serverview.LockWait `json:"lock_waits"`
}

type finding struct {
	Level string `json:"level"` // healthy, warning, critical
	Code  string `json:"code"`
	Text  string `json:"text"`
}

// WriteJSON prints the diagnosis as one line.
func (d Diagnosis) WriteJSON(out io.Writer) error {
	doc := document{
		Target: d.Case.Target, Level: d.Level.String(), ExitCode: d.Level.ExitCode(),
		Application: d.Case.Application, Replicas: d.Case.Ask.Replicas, Counted: d.Case.Counted,
		Usable: d.Proof.Usable(), Need: d.Proof.Need(), Fits: d.Proof.Fits(), Arithmetic: d.Proof.Steps(),
		Remedies: d.Remedies, Server: d.Case.View, Queries: d.Case.Queries, LockWaits: d.Case.View.LockWaits,
	}
	for _, f := range d.Findings {
		doc.Findings = append(doc.Findings, finding{f.Level.String(), f.Code, f.Text})
	}
	return doc.write(out)
}

// WriteRefusedJSON prints why there is no diagnosis, as one line.
func WriteRefusedJSON(out io.Writer, target string, r *Refused) error {
	return document{Target: target, Level: r.Level.String(), ExitCode: r.Level.ExitCode(), Error: r.Text}.write(out)
}

func (doc document) write(out io.Writer) error {
	if doc.Findings == nil {
		doc.Findings = []finding{}
	}
	if doc.Remedies == nil {
		doc.Remedies = []Remedy{}
	}
	if doc.Arithmetic == nil {
		doc.Arithmetic = []string{}
	}
	if doc.Queries == nil {
		doc.Queries = []serverview.Query{}
	}
	if doc.LockWaits == nil {
		doc.LockWaits = []serverview.LockWait{}
	}
	return json.NewEncoder(out).Encode(doc)
}
