package console

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Problem is how the API says no: RFC 9457, with the same words in two languages.
type Problem struct { //nolint:errname // RFC 9457 calls it so
	Type   string          `json:"type" doc:"always about:blank: «code» tells the cases apart"`
	Title  string          `json:"title" doc:"Russian / English"`
	Status int             `json:"status"`
	Detail string          `json:"detail" doc:"in Russian; the same as «ru»"`
	Code   string          `json:"code"`
	Field  string          `json:"field,omitempty"`
	RU     string          `json:"ru"`
	EN     string          `json:"en"`
	Errors []ProblemDetail `json:"errors,omitempty" doc:"each thing that is wrong with the request"`
}

// ProblemDetail is one thing wrong with a request. The value is not repeated: it
// may have been a password.
type ProblemDetail struct {
	Location string `json:"location,omitempty" example:"query.limit"`
	Message  string `json:"message"`
}

func (p *Problem) Error() string { return p.EN }

// GetStatus makes huma answer with this status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType makes huma answer with problem+json.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func problemOf(f *Fault) *Problem {
	return newProblem(f.status(), f)
}

func newProblem(status int, f *Fault) *Problem {
	return &Problem{
		Type: "about:blank", Title: titleRU(status) + " / " + http.StatusText(status), Status: status,
		Detail: f.RU, Code: f.Code, Field: f.Field, RU: f.RU, EN: f.EN,
	}
}

func titleRU(status int) string {
	names := map[int]string{
		400: "Неверный запрос", 401: "Нужен вход", 403: "Нет прав", 404: "Не найдено", 405: "Метод не подходит",
		406: "Формат не подходит", 408: "Слишком долго", 409: "Сейчас невозможно", 413: "Слишком большой запрос",
		415: "Формат не подходит", 422: "Ошибка в данных", 429: "Слишком много попыток", 500: "Внутренняя ошибка",
		501: "Не подключено", 503: "Временно недоступно",
	}
	if n, ok := names[status]; ok {
		return n
	}
	return "Ошибка"
}

// writeProblem answers outside huma.
func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(p.Status)
	w.Write(mustJSON(p))
}

// translate turns what huma itself refuses into our problems.
func translate(_ huma.Context, status string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	code := m.Status
	if code == 0 {
		code, _ = strconv.Atoi(status)
	}
	f := &Fault{Code: CodeInvalid, RU: "Запрос составлен неверно", EN: "The request is wrong: " + m.Detail}
	switch {
	case code == http.StatusRequestEntityTooLarge:
		f.RU = "Запрос слишком велик"
	case code == http.StatusUnsupportedMediaType:
		f.RU = "Нужен application/json"
	case code >= 500:
		f = &Fault{Code: CodeInternal, RU: "Внутренняя ошибка", EN: "Internal error"}
		return newProblem(code, f), nil
	}
	p := newProblem(code, f)
	for _, e := range m.Errors {
		if e == nil {
			continue
		}
		p.Errors = append(p.Errors, ProblemDetail{Location: e.Location, Message: e.Message})
		if e.Message == "unknown query parameter" {
			name := strings.TrimPrefix(e.Location, "query.")
			p.Field = name
			p.RU = "Неизвестный параметр: " + name
			p.Detail, p.EN = p.RU, "Unknown query parameter: "+name
		}
	}
	return p, nil
}
