package dispatch

import "regexp"

// Service is an emergency service that a city configures: police, fire, gas,
// medical and others. Its text is part of topic names.
type Service string

// The four services of the plan; a city may configure more.
const (
	Police  Service = "police"
	Fire    Service = "fire"
	Gas     Service = "gas"
	Medical Service = "medical"
)

var serviceName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// Valid tells whether the name may be a service's: it must fit a Kafka topic.
func (s Service) Valid() bool { return serviceName.MatchString(string(s)) }

// Type is what happened, by the short classifier of part 1.
type Type string

// The types an operator or a panel can give.
const (
	TypeFire           Type = "fire"
	TypeGas            Type = "gas"
	TypeExplosion      Type = "explosion"
	TypeRoadAccident   Type = "road_accident"
	TypeMedical        Type = "medical"
	TypeCrime          Type = "crime"
	TypePanic          Type = "panic"
	TypeIntrusion      Type = "intrusion"
	TypePersonInDanger Type = "person_in_danger"
	TypeUtility        Type = "utility"
	TypePublicOrder    Type = "public_order"
	TypeOther          Type = "other"
)

// alarmTypes is what an alarm of a class gives its card, by the classes of package
// alarms that open one.
var alarmTypes = map[string]Type{
	"fire":      TypeFire,
	"panic":     TypePanic,
	"duress":    TypePanic,
	"gas":       TypeGas,
	"co":        TypeGas,
	"medical":   TypeMedical,
	"intrusion": TypeIntrusion,
}

// AlarmType is the type that an alarm of a class gives its card; false for a
// class that opens none.
func AlarmType(class string) (Type, bool) {
	t, ok := alarmTypes[class]
	return t, ok
}

// TypeName is one line of the classifier.
type TypeName struct {
	Type Type   `json:"type"`
	RU   string `json:"ru"`
	EN   string `json:"en"`
}

// Types lists the classifier in the order in which screens show it.
func Types() []TypeName {
	return []TypeName{
		{TypeFire, "Пожар, задымление", "Fire, smoke"},
		{TypeGas, "Запах газа, загазованность", "Gas, carbon monoxide"},
		{TypeExplosion, "Взрыв", "Explosion"},
		{TypeRoadAccident, "ДТП", "Road accident"},
		{TypeMedical, "Нужна скорая помощь", "Medical help"},
		{TypeCrime, "Преступление, нападение", "Crime, assault"},
		{TypePanic, "Тревожная кнопка", "Panic button"},
		{TypeIntrusion, "Проникновение на объект", "Intrusion"},
		{TypePersonInDanger, "Человек в опасности", "Person in danger"},
		{TypeUtility, "Авария ЖКХ", "Utility failure"},
		{TypePublicOrder, "Нарушение порядка", "Public order"},
		{TypeOther, "Другое", "Other"},
	}
}

// Valid tells whether t is in the classifier.
func (t Type) Valid() bool {
	for _, n := range Types() {
		if n.Type == t {
			return true
		}
	}
	return false
}

// Origin is the way by which an incident came into being.
type Origin string

// Origins.
const (
	OriginCall  Origin = "call"
	OriginSMS   Origin = "sms"
	OriginECall Origin = "ecall"
	OriginAlarm Origin = "alarm"
)

// Actor names who did something, as «kind:name»: operator:ivanova, service:fire,
// panel:1234, caller:+7…, system.
type Actor string

// System is the engine itself.
const System Actor = "system"

// NonResponse is why a contact needed no response (form 2/112 counts them apart).
type NonResponse string

// Kinds of contact that need no response.
const (
	NoResponseReference    NonResponse = "reference"
	NoResponseConsultation NonResponse = "consultation"
	NoResponseWrongNumber  NonResponse = "wrong_number"
	NoResponsePrank        NonResponse = "child_prank"
	NoResponseTest         NonResponse = "test"
	NoResponseRepeat       NonResponse = "repeat_call"
	NoResponseNoContact    NonResponse = "no_contact"
	NoResponseDropped      NonResponse = "dropped"
)

// NonResponses lists the kinds in the order in which screens show them.
func NonResponses() []NonResponse {
	return []NonResponse{
		NoResponseReference, NoResponseConsultation, NoResponseWrongNumber, NoResponsePrank,
		NoResponseTest, NoResponseRepeat, NoResponseNoContact, NoResponseDropped,
	}
}
