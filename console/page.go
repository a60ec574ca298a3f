package console

import (
	"io/fs"
	"net/http"
	"path"
	"strings"

	"nabat/console/web"
)

// unbuilt is shown when the binary holds no application.
const unbuilt = `<!doctype html>
<html lang="ru"><head><meta charset="utf-8"><title>Набат / Nabat</title></head><body>
<h1>Набат</h1>
<p>Сервер работает, но в этой сборке нет страницы консоли. Соберите её: <code>make setup build</code> (нужен Node.js)
и запустите <code>bin/nabat</code> снова. API отвечает: <a href="/api/openapi.json">/api/openapi.json</a>.</p>
<p lang="en">The server works, but this build holds no console page. Build it with <code>make setup build</code> (needs
Node.js) and start <code>bin/nabat</code> again. The API answers: <a href="/api/openapi.json">/api/openapi.json</a>.</p>
</body></html>
`

// pages serves the application. Files below assets/ carry their hash in their
// name and may be kept for ever; the page itself is asked for each time. An
// address without a dot is a view of the application.
func pages(files fs.FS) http.Handler {
	server := http.FileServerFS(files)
	built := web.Built(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Метод не подходит / Method not allowed", http.StatusMethodNotAllowed)
			return
		}
		if !built {
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Write([]byte(unbuilt))
			return
		}
		name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
		info, err := fs.Stat(files, name)
		isFile := err == nil && !info.IsDir() && !strings.HasPrefix(path.Base(name), ".")
		switch {
		case isFile && name != "index.html":
			cache := "no-cache"
			if strings.HasPrefix(name, "assets/") {
				cache = "public, max-age=31536000, immutable"
			}
			w.Header().Set("Cache-Control", cache)
			server.ServeHTTP(w, r)
		case isFile || name == "" || !strings.Contains(path.Base(name), "."):
			w.Header().Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, withPath(r, "/"), files, "index.html")
		default:
			http.NotFound(w, r)
		}
	})
}

// withPath keeps http.ServeFileFS from redirecting «…/index.html».
func withPath(r *http.Request, p string) *http.Request {
	c := r.Clone(r.Context())
	c.URL.Path = p
	return c
}

// Handler is everything on the console's address. socket answers /ws and may be
// nil.
func (s *Server) Handler(socket http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/", s.api)
	if socket != nil {
		mux.Handle("GET /ws", socket)
	}
	mux.Handle("/", pages(s.page))
	return secured(mux)
}
