package main

import (
	"fmt"
	"runtime/debug"
)

// version is set by the linker in a release: -X main.version=1.2.3.
var version = "dev"

type versionCmd struct{}

// Run prints what was built from what.
func (versionCmd) Run(t terminal) error {
	info, _ := debug.ReadBuildInfo()
	_, err := fmt.Fprintln(t.out, "nabat", versionLine(info))
	return err
}

func versionLine(info *debug.BuildInfo) string {
	line := version
	if info == nil {
		return line
	}
	var revision, dirty string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = " " + s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+changes"
		}
	}
	return line + revision + dirty + " " + info.GoVersion
}
