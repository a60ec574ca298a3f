package alarms

import "nabat/dispatch"

// Class is what a notification is about. The texts are stored and shown as they
// are here, and used by the tables of the codecs.
type Class string

// Classes.
const (
	ClassFire                Class = "fire"
	ClassFirePrealarm        Class = "fire-prealarm"
	ClassFireSupervisory     Class = "fire-supervisory"
	ClassFireTrouble         Class = "fire-trouble"
	ClassFireBypass          Class = "fire-bypass"
	ClassPanic               Class = "panic"
	ClassDuress              Class = "duress"
	ClassIntrusion           Class = "intrusion"
	ClassIntrusionPrealarm   Class = "intrusion-prealarm"
	ClassIntrusionVerified   Class = "intrusion-verified"
	ClassIntrusionUnverified Class = "intrusion-unverified"
	ClassTamper              Class = "tamper"
	ClassGas                 Class = "gas"
	ClassCO                  Class = "co"
	ClassMedical             Class = "medical"
	ClassWater               Class = "water"
	ClassTemperature         Class = "temperature"
	ClassTechnical           Class = "technical"
	ClassTrouble             Class = "trouble"
	ClassSupervision         Class = "supervision"
	ClassPower               Class = "power"
	ClassComm                Class = "comm"
	ClassJamming             Class = "jamming"
	ClassArming              Class = "arming"
	ClassCancel              Class = "cancel"
	ClassAccess              Class = "access"
	ClassException           Class = "exception"
	ClassService             Class = "service"
	ClassDisable             Class = "disable"
	ClassBypass              Class = "bypass"
	ClassTest                Class = "test"
	ClassLog                 Class = "log"
	ClassInfo                Class = "info"
	ClassProgram             Class = "program"
	ClassUnknownZone         Class = "unknown-zone"
	ClassAny                 Class = "any"
	ClassLink                Class = "link"
	ClassUnknown             Class = "unknown"
)

// Condition is what happened to it.
type Condition string

// Conditions.
const (
	Alarm          Condition = "alarm"
	Restore        Condition = "restore"
	StillPresent   Condition = "still-present"
	Trouble        Condition = "trouble"
	TroubleRestore Condition = "trouble-restore"
	Supervisory    Condition = "supervisory"
	Missing        Condition = "missing"
	Verified       Condition = "verified"
	Unverified     Condition = "unverified"
	Silenced       Condition = "silenced"
	Bypass         Condition = "bypass"
	Unbypass       Condition = "unbypass"
	Open           Condition = "open"  // disarmed
	Close          Condition = "close" // armed
	Cancel         Condition = "cancel"
	Test           Condition = "test"
	TestStart      Condition = "test-start"
	TestEnd        Condition = "test-end"
	Swinger        Condition = "swinger"
	SwingerRestore Condition = "swinger-restore"
	Info           Condition = "info"
	Heartbeat      Condition = "heartbeat"
	UnknownCond    Condition = "unknown"
)

// Urgent tells that lives may hang on the class: no filter may hide it, and it
// is put before a person even from an account nobody registered.
func Urgent(c Class) bool {
	switch c {
	case ClassFire, ClassPanic, ClassDuress, ClassGas, ClassCO, ClassMedical:
		return true
	}
	return false
}

// Opens tells whether a notification opens a card by itself, and as what. A
// confirmation by a second detector («verified») is an alarm at least.
func Opens(class Class, cond Condition) (dispatch.Type, bool) {
	if cond != Alarm && cond != Verified {
		return "", false
	}
	return dispatch.AlarmType(string(cardClass(class)))
}

// cardClass is the class under which a card gathers its signals.
func cardClass(c Class) Class {
	if c == ClassIntrusionVerified {
		return ClassIntrusion
	}
	return c
}

// noted tells whether a notification belongs on a card that is open already,
// without ever opening one: the end of what opened it, or that it is still so.
func noted(class Class, cond Condition) bool {
	if _, has := dispatch.AlarmType(string(cardClass(class))); !has {
		return false
	}
	return cond == Restore || cond == StillPresent || cond == Cancel
}

// opposed tells whether two conditions of one thing undo each other, so that
// after the one the other is news and no repeat.
func opposed(a, b Condition) bool {
	return undoes(a, b) || undoes(b, a)
}

func undoes(a, b Condition) bool {
	switch a {
	case Restore, TroubleRestore, SwingerRestore:
		switch b {
		case Alarm, Verified, Unverified, StillPresent, Trouble, Supervisory, Missing, Silenced, Swinger:
			return true
		}
	case Close:
		return b == Open
	case Unbypass:
		return b == Bypass
	case TestEnd:
		return b == TestStart
	}
	return false
}
