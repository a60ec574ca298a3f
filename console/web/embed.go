// Package web holds the built browser application.
//
// The build (`make build`) fills dist; a checkout without Node has only its
// .keep, so that the module always compiles. Package console then shows a page
// that says how to build it.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Files is the built application; Built tells whether there is one.
func Files() fs.FS {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		panic("console/web: " + err.Error()) // «dist» is a valid path, always
	}
	return sub
}

// Built tells whether files hold an application.
func Built(files fs.FS) bool {
	_, err := fs.Stat(files, "index.html")
	return err == nil
}
