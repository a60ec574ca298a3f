package console

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// MaxCommand bounds a command in octets, by either way in. The longest that the
// fields' own bounds allow, every letter of it escaped, is a fifth of this; what is
// between the two is read and refused by its fields, and only what is above costs
// its sender the connection.
const MaxCommand = 512 * 1024

const (
	// readers is how many requests may read lists at once, so that a program that
	// reads everything leaves connections of the database to the consoles. One that
	// finds no place for readerWait is told that we are busy.
	readers    = 6
	readerWait = 5 * time.Second
	// answerLimit bounds an operation.
	answerLimit = 20 * time.Second
)

// visit is who asks, as the middleware found out.
type visit struct {
	person Person
	remote string
}

type visitKey struct{}

// visitor takes the visit from the request's context at the edge; below it the
// person is an argument.
func visitor(ctx context.Context) visit {
	v, _ := ctx.Value(visitKey{}).(visit)
	return v
}

// Keys of an operation's metadata.
const (
	metaOpen  = "open"  // bool: no login needed
	metaRoles = "roles" // []Role that may use it; absent: all
	metaList  = "list"  // bool: reads many rows
)

func (s *Server) buildAPI() error {
	mux := http.NewServeMux()
	cfg := huma.DefaultConfig("Набат / Nabat", "1")
	cfg.Info.Description = "Консоль и API «Набата». Списки отвечают {items, next}; неизвестные параметры отклоняются; " +
		"ошибки — application/problem+json по-русски и по-английски. / The console and API of Nabat. Lists answer " +
		"{items, next}; unknown parameters are refused; errors are application/problem+json in Russian and English."
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "", "", "" // the document is written once, below
	cfg.CreateHooks = nil                                       // no $schema fields in answers
	cfg.RejectUnknownQueryParameters = true
	cfg.Transformers = []huma.Transformer{translate}
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"cookie": {Type: "apiKey", In: "cookie", Name: CookieName},
		"bearer": {Type: "http", Scheme: "bearer"},
	}
	api := humago.New(mux, cfg)
	api.UseMiddleware(s.measure, s.plainQuery, s.admit, s.queue)
	s.accountOperations(api)
	s.incidentOperations(api)
	s.listOperations(api)

	documentProblems(api.OpenAPI())
	doc, err := json.Marshal(api.OpenAPI())
	if err != nil {
		return err
	}
	s.openAPI = doc
	mux.HandleFunc("GET /api/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oai.openapi+json;version=3.1")
		w.Write(s.openAPI)
	})
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		if others := methodsAt(mux, r); len(others) > 0 {
			w.Header().Set("Allow", strings.Join(others, ", "))
			writeProblem(w, newProblem(http.StatusMethodNotAllowed,
				&Fault{Code: CodeInvalid, RU: "Метод не подходит", EN: "Method not allowed"}))
			return
		}
		writeProblem(w, problemOf(&Fault{Code: CodeNotFound, RU: "Такого адреса нет", EN: "No such address"}))
	})
	s.api = mux
	return nil
}

// methodsAt are the methods that this address does answer. The mux would say so
// itself, had it no pattern for the rest of /api/.
func methodsAt(mux *http.ServeMux, r *http.Request) []string {
	var out []string
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := r.Clone(r.Context())
		probe.Method = m
		if _, pattern := mux.Handler(probe); strings.HasPrefix(pattern, m+" ") ||
			(m == http.MethodHead && strings.HasPrefix(pattern, http.MethodGet+" ")) {
			out = append(out, m)
		}
	}
	return out
}

// documentProblems puts our problem document in the place of huma's own.
func documentProblems(doc *huma.OpenAPI) {
	schema := doc.Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	for _, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			for _, r := range op.Responses {
				if m := r.Content["application/problem+json"]; m != nil {
					m.Schema = schema
				}
			}
		}
	}
	delete(doc.Components.Schemas.Map(), "ErrorModel")
	delete(doc.Components.Schemas.Map(), "ErrorDetail")
}

func refuse(ctx huma.Context, p *Problem) {
	_, w := humago.Unwrap(ctx)
	writeProblem(w, p)
}

// measure counts and times an operation.
func (s *Server) measure(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	rec := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	began := time.Now()
	rec.Header().Set("Cache-Control", "no-store")
	next(humago.NewContext(ctx.Operation(), r, rec))
	s.metrics.requests.WithLabelValues(ctx.Operation().OperationID, strconv.Itoa(rec.status)).
		Observe(time.Since(began).Seconds())
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(code int) {
	w.status = code
	w.ResponseWriter.WriteHeader(code)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// plainQuery refuses what huma would read leniently: a query that cannot be
// parsed, a parameter given twice, or one without a value, which would quietly
// give the unfiltered list; text that the database cannot hold; and the zero
// time, which below means «no bound».
func (s *Server) plainQuery(ctx huma.Context, next func(huma.Context)) {
	u := ctx.URL()
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		refuse(ctx, problemOf(invalid("query", "Параметры запроса не читаются", "The query cannot be parsed")))
		return
	}
	for name, values := range q {
		if len(values) != 1 || values[0] == "" {
			refuse(ctx, problemOf(invalid(name, "Параметр должен быть указан один раз и со значением: "+name,
				"The parameter must be given once and with a value: "+name)))
			return
		}
		if !plain(name) || !plain(values[0]) {
			name = strings.ToValidUTF8(strings.ReplaceAll(name, "\x00", "\ufffd"), "\ufffd")
			refuse(ctx, problemOf(invalid(name, "Недопустимые символы в параметре: "+name, "The parameter is not valid text: "+name)))
			return
		}
		if at, err := time.Parse(time.RFC3339, values[0]); err == nil && at.IsZero() && (name == "from" || name == "to") {
			refuse(ctx, problemOf(invalid(name, "Такого времени здесь быть не может: "+name, "This time cannot be meant: "+name)))
			return
		}
	}
	next(ctx)
}

// plain says whether a text is one that PostgreSQL can hold: UTF-8 without NUL.
func plain(text string) bool {
	return utf8.ValidString(text) && !strings.Contains(text, "\x00")
}

// admit lets in whom the operation is for.
func (s *Server) admit(ctx huma.Context, next func(huma.Context)) {
	r, _ := humago.Unwrap(ctx)
	op := ctx.Operation()
	v := visit{remote: r.RemoteAddr}
	changes := r.Method != http.MethodGet && r.Method != http.MethodHead
	if open, _ := op.Metadata[metaOpen].(bool); open {
		// A login needs no cookie, so a program may send it without an Origin; a
		// foreign page may not (it could log the reader in as somebody else).
		if changes && r.Header.Get("Origin") != "" && !fromHere(r) {
			refuse(ctx, problemOf(errOrigin))
			return
		}
	} else {
		p, err := s.enter(r, changes)
		if err != nil {
			refuse(ctx, s.problem("admit a request", err))
			return
		}
		if roles, limited := op.Metadata[metaRoles].([]Role); limited && !slices.Contains(roles, p.Role) {
			refuse(ctx, problemOf(forbidden("Эти данные вам не открыты", "This is not yours to read")))
			return
		}
		v.person = p
	}
	next(huma.WithValue(ctx, visitKey{}, v))
}

// queue gives each reader a place, and every operation its time.
func (s *Server) queue(ctx huma.Context, next func(huma.Context)) {
	limited, cancel := context.WithTimeout(ctx.Context(), answerLimit)
	defer cancel()
	if list, _ := ctx.Operation().Metadata[metaList].(bool); list {
		patience := time.NewTimer(readerWait)
		defer patience.Stop()
		select {
		case s.readers <- struct{}{}:
			defer func() { <-s.readers }()
		case <-patience.C:
			refuse(ctx, problemOf(&Fault{Code: CodeBusy, RU: "Слишком много запросов сразу. Повторите", EN: "Too many requests at once. Repeat"}))
			return
		case <-limited.Done():
			return // the client has gone
		}
	}
	next(huma.WithContext(ctx, limited))
}
