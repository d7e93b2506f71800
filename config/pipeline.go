package config

// PipelineMode says which statements of callers who know nothing of each other
// may share a connection while callers wait. The zero value is not valid;
// [Default] sets PipelineReads.
type PipelineMode string

// The modes of sharing.
const (
	// PipelineReads lets short queries with small results share.
	PipelineReads PipelineMode = "reads"
	// PipelineAll lets short statements that change data share as well.
	PipelineAll PipelineMode = "all"
	// PipelineOff gives every statement a connection of its own.
	PipelineOff PipelineMode = "off"
)
