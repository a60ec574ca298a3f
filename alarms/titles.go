package alarms

import "nabat/alarms/siadcs"

// title is a word for people, Russian first.
type title struct{ ru, en string }

var classTitles = map[Class]title{
	ClassFire:                {"Пожар", "Fire"},
	ClassFirePrealarm:        {"Внимание (пожар)", "Fire pre-alarm"},
	ClassFireSupervisory:     {"Пожарная автоматика", "Fire supervisory"},
	ClassFireTrouble:         {"Неисправность пожарной сигнализации", "Fire system trouble"},
	ClassFireBypass:          {"Обход пожарной зоны", "Fire zone bypass"},
	ClassPanic:               {"Тревожная кнопка", "Panic button"},
	ClassDuress:              {"Принуждение", "Duress"},
	ClassIntrusion:           {"Проникновение", "Intrusion"},
	ClassIntrusionPrealarm:   {"Предтревога охраны", "Intrusion pre-alarm"},
	ClassIntrusionVerified:   {"Проникновение подтверждено", "Intrusion verified"},
	ClassIntrusionUnverified: {"Проникновение не подтверждено", "Intrusion not verified"},
	ClassTamper:              {"Вскрытие", "Tamper"},
	ClassGas:                 {"Загазованность", "Gas"},
	ClassCO:                  {"Угарный газ", "Carbon monoxide"},
	ClassMedical:             {"Медицинская помощь", "Medical help"},
	ClassWater:               {"Протечка", "Water leak"},
	ClassTemperature:         {"Температура", "Temperature"},
	ClassTechnical:           {"Технологический сигнал", "Technical"},
	ClassTrouble:             {"Неисправность", "Trouble"},
	ClassSupervision:         {"Контроль устройства", "Supervision"},
	ClassPower:               {"Питание", "Power"},
	ClassComm:                {"Связь", "Communication"},
	ClassJamming:             {"Радиопомехи", "Jamming"},
	ClassArming:              {"Охрана", "Arming"},
	ClassCancel:              {"Отмена пользователем", "User cancel"},
	ClassAccess:              {"Доступ", "Access"},
	ClassException:           {"Нарушение расписания", "Schedule exception"},
	ClassService:             {"Обслуживание", "Service"},
	ClassDisable:             {"Отключение", "Disabled"},
	ClassBypass:              {"Обход", "Bypass"},
	ClassTest:                {"Проверка", "Test"},
	ClassLog:                 {"Журнал прибора", "Panel log"},
	ClassInfo:                {"Сообщение", "Information"},
	ClassProgram:             {"Программирование", "Programming"},
	ClassUnknownZone:         {"Зона неизвестного типа", "Untyped zone"},
	ClassAny:                 {"Отмена", "Abort"},
	ClassLink:                {"Связь", "Link"},
	ClassUnknown:             {"Неизвестное событие", "Unknown event"},
}

var conditionTitles = map[Condition]title{
	Alarm:          {"тревога", "alarm"},
	Restore:        {"восстановление", "restored"},
	StillPresent:   {"всё ещё есть", "still present"},
	Trouble:        {"неисправность", "trouble"},
	TroubleRestore: {"неисправность устранена", "trouble restored"},
	Supervisory:    {"сигнал контроля", "supervisory"},
	Missing:        {"нет связи", "missing"},
	Verified:       {"подтверждено", "verified"},
	Unverified:     {"не подтверждено", "not verified"},
	Silenced:       {"звук отключён", "silenced"},
	Bypass:         {"обход", "bypassed"},
	Unbypass:       {"обход снят", "bypass ended"},
	Open:           {"снято с охраны", "disarmed"},
	Close:          {"взято под охрану", "armed"},
	Cancel:         {"отмена", "cancelled"},
	Test:           {"тест", "test"},
	TestStart:      {"начало проверки", "test started"},
	TestEnd:        {"конец проверки", "test ended"},
	Swinger:        {"частые срабатывания", "swinger"},
	SwingerRestore: {"частые срабатывания прекратились", "swinger ended"},
	Info:           {"сообщение", "information"},
	Heartbeat:      {"проверка связи", "link test"},
	UnknownCond:    {"смысл неизвестен", "meaning unknown"},
}

// endings stand before a Contact ID code's title, which names the beginning of
// what it is about: the end of a fire must not be read as a fire.
var endings = map[Condition]string{
	Restore:      "Восстановление: ",
	StillPresent: "Всё ещё есть: ",
	Unbypass:     "Отменено: ",
	TestEnd:      "Окончание: ",
}

// Title names a class in Russian and English.
func (c Class) Title() (ru, en string) { return classTitles[c].ru, classTitles[c].en }

// Title names a condition in Russian and English.
func (c Condition) Title() (ru, en string) { return conditionTitles[c].ru, conditionTitles[c].en }

// siaTitles are put together once: a frame should not cost an allocation for
// its title.
var siaTitles = func() map[string]string {
	m := map[string]string{}
	for _, e := range siadcs.Entries() {
		m[e.Code] = classTitles[Class(e.Class)].ru + ": " + conditionTitles[Condition(e.Condition)].ru
	}
	return m
}()

func siaTitle(code string) string {
	if t, ok := siaTitles[code]; ok {
		return t
	}
	return classTitles[ClassUnknown].ru
}
