package console

import (
	"slices"

	"nabat/dispatch"
)

// ServiceName is a service as people call it.
type ServiceName struct {
	Service dispatch.Service `json:"service"`
	RU      string           `json:"ru"`
	EN      string           `json:"en"`
}

// NonResponseName is a reason for closing without response.
type NonResponseName struct {
	Reason dispatch.NonResponse `json:"reason"`
	RU     string               `json:"ru"`
	EN     string               `json:"en"`
}

// Classifier is everything that a form's lists need.
type Classifier struct {
	Types        []dispatch.TypeName `json:"types"`
	NonResponses []NonResponseName   `json:"nonResponses"`
	Services     []ServiceName       `json:"services"`
}

// DefaultServices are the four services of the plan.
func DefaultServices() []ServiceName {
	return []ServiceName{
		{dispatch.Fire, "Пожарная охрана", "Fire service"},
		{dispatch.Police, "Полиция", "Police"},
		{dispatch.Medical, "Скорая помощь", "Ambulance"},
		{dispatch.Gas, "Газовая служба", "Gas service"},
	}
}

func nonResponses() []NonResponseName {
	names := map[dispatch.NonResponse][2]string{
		dispatch.NoResponseReference:    {"Справка", "Reference question"},
		dispatch.NoResponseConsultation: {"Консультация", "Consultation"},
		dispatch.NoResponseWrongNumber:  {"Ошибочный вызов", "Wrong number"},
		dispatch.NoResponsePrank:        {"Детская шалость", "Child's prank"},
		dispatch.NoResponseTest:         {"Проверка связи", "Test call"},
		dispatch.NoResponseRepeat:       {"Повторный вызов", "Repeated call"},
		dispatch.NoResponseNoContact:    {"Нет контакта", "No contact"},
		dispatch.NoResponseDropped:      {"Вызов сорвался", "Dropped call"},
	}
	var out []NonResponseName
	for _, r := range dispatch.NonResponses() {
		n, ok := names[r]
		if !ok {
			n = [2]string{string(r), string(r)}
		}
		out = append(out, NonResponseName{r, n[0], n[1]})
	}
	return out
}

func knownNonResponse(r string) bool {
	return slices.Contains(dispatch.NonResponses(), dispatch.NonResponse(r))
}
