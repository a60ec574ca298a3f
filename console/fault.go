package console

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"nabat/dispatch"
)

// Fault is why something was refused, for a program (code, field) and for people.
type Fault struct { //nolint:errname // it is a part of answers first, and an error on its way there
	Code  string `json:"code" doc:"invalid, forbidden, not_found, conflict, busy, unavailable, denied, too_many, internal"`
	Field string `json:"field,omitempty" doc:"the field that is wrong, or that somebody else has changed"`
	RU    string `json:"ru"`
	EN    string `json:"en"`
}

func (f *Fault) Error() string { return f.EN }

// Codes of faults.
const (
	CodeInvalid     = "invalid"
	CodeForbidden   = "forbidden"
	CodeNotFound    = "not_found"
	CodeConflict    = "conflict"
	CodeBusy        = "busy"
	CodeUnavailable = "unavailable"
	CodeDenied      = "denied"
	CodeTooMany     = "too_many"
	CodeInternal    = "internal"
)

var statusOf = map[string]int{
	CodeInvalid: http.StatusUnprocessableEntity, CodeForbidden: http.StatusForbidden,
	CodeNotFound: http.StatusNotFound, CodeConflict: http.StatusConflict,
	CodeBusy: http.StatusServiceUnavailable, CodeUnavailable: http.StatusNotImplemented,
	CodeDenied: http.StatusUnauthorized, CodeTooMany: http.StatusTooManyRequests,
	CodeInternal: http.StatusInternalServerError,
}

func (f *Fault) status() int { return statusOf[f.Code] }

func forbidden(ru, en string) *Fault { return &Fault{Code: CodeForbidden, RU: ru, EN: en} }

func invalid(field, ru, en string) *Fault {
	return &Fault{Code: CodeInvalid, Field: field, RU: ru, EN: en}
}

// faultOf is the whole map from errors to what a person reads. Anything it does
// not know is our fault; it says no more than that, and the caller logs it.
func faultOf(err error) *Fault {
	var (
		f     *Fault
		field *dispatch.FieldError
		move  *dispatch.TransitionError
		other *dispatch.ChangedError
		many  *tooManyError
	)
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &field):
		return invalid(field.Field, "«"+fieldRU(field.Field)+"»: "+reasonRU(field.Reason), field.Field+": "+field.Reason)
	case errors.As(err, &other):
		return &Fault{
			Code: CodeConflict, Field: other.Field,
			RU: "Поле «" + fieldRU(other.Field) + "» изменил другой оператор. Ничего не сохранено",
			EN: "Somebody else has changed " + other.Field + ". Nothing was saved",
		}
	case errors.As(err, &move):
		return &Fault{
			Code: CodeConflict,
			RU:   "Сейчас это невозможно: состояние «" + stateRU(move.From) + "» так не меняется",
			EN:   move.Error(),
		}
	case errors.As(err, &many):
		return &Fault{Code: CodeTooMany, RU: "Слишком много попыток. Подождите", EN: "Too many attempts. Wait"}
	case errors.Is(err, errDenied):
		return &Fault{Code: CodeDenied, RU: "Войдите в систему", EN: "Log in first"}
	case errors.Is(err, dispatch.ErrNotFound):
		return &Fault{Code: CodeNotFound, RU: "Не найдено", EN: "Not found"}
	case errors.Is(err, dispatch.ErrBusy), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Fault{Code: CodeBusy, RU: "База данных сейчас недоступна. Повторите", EN: "The database is away. Repeat"}
	default:
		return &Fault{Code: CodeInternal, RU: "Внутренняя ошибка", EN: "Internal error"}
	}
}

func fieldRU(f string) string {
	names := map[string]string{
		"type": "Что случилось", "place": "Место", "description": "Описание", "reason": "Причина",
		"comment": "Комментарий", "status": "Статус", "service": "Служба", "orderNumber": "Номер наряда",
		"id": "Номер команды", "kind": "Команда", "incident": "Карточка", "form": "Форма",
		"login": "Логин", "password": "Пароль", "role": "Роль", "name": "Имя", "limit": "limit", "cursor": "cursor",
	}
	if n, ok := names[f]; ok {
		return n
	}
	return f
}

func reasonRU(r string) string {
	switch {
	case r == "must not be empty":
		return "не заполнено"
	case r == "is not valid text":
		return "недопустимые символы"
	case r == "a refusal must say why":
		return "при отказе нужна причина"
	case r == "is not a service's to give":
		return "такой статус служба не ставит"
	case strings.HasPrefix(r, "is longer than"):
		return "слишком длинно"
	case strings.HasSuffix(r, "is not in the classifier"):
		return "нет в классификаторе"
	}
	return r
}

func stateRU(s string) string {
	names := map[string]string{
		"draft": "черновик", "registered": "зарегистрировано", "dispatched": "направлено",
		"under_way": "в работе", "worked": "отработано", "closed": "закрыто", "reopened": "открыто вновь",
		"cancelled": "отменено", "added": "добавлено", "published": "отправлено", "received": "получено",
		"accepted": "принято", "refused": "отказ", "en_route": "в пути", "arrived": "на месте",
		"working": "работает", "completed": "завершено", "work_refused": "отказ от работ",
	}
	if n, ok := names[s]; ok {
		return n
	}
	return s
}
