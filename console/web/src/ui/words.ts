import { computed } from '@preact/signals'
import { lang, pick, t, word } from '../i18n'
import type { Assignment, Incident, IncidentState, JournalEvent, Time } from '../model/protocol'
import { classifier } from '../store/app'

// How facts are said. Everything here reads the language signal.

const two = (n: number): string => String(n).padStart(2, '0')

export function elapsed(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000))
  const d = Math.floor(s / 86_400)
  const h = Math.floor((s % 86_400) / 3_600)
  const m = Math.floor((s % 3_600) / 60)
  if (d > 0) return `${t().time.days(d)} ${h}:${two(m)}`
  return h > 0 ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`
}

export function clockTime(ms: number): string {
  const d = new Date(ms)
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`
}

export function moment(at: Time, now: number): string {
  if (at === undefined) return t().card.notKnown
  const d = new Date(at)
  const today = new Date(now).toDateString() === d.toDateString()
  return today ? clockTime(at) : `${two(d.getDate())}.${two(d.getMonth() + 1)}.${d.getFullYear()} ${clockTime(at)}`
}

export const typeName = (type: string): string => {
  const found = classifier.value?.types.find((x) => x.type === type)
  return found ? pick(found) : type
}

export const className = (c: string): string => word(t().classes, c)

export const serviceShort = (service: string): string => {
  const known = word(t().services, service)
  if (known !== service) return known
  const found = classifier.value?.services.find((x) => x.service === service)
  return found ? pick(found) : service
}

export const serviceLong = (service: string): string => {
  const found = classifier.value?.services.find((x) => x.service === service)
  return found ? pick(found) : word(t().services, service)
}

export const reasonName = (reason: string): string => {
  const found = classifier.value?.nonResponses.find((x) => x.reason === reason)
  return found ? pick(found) : reason
}

export const stateName = (s: IncidentState): string => word(t().incidentStates, s)

export const what = (i: Incident): string =>
  i.type !== '' ? typeName(i.type) : i.class !== '' ? className(i.class) : t().board.noType

export const where = (i: Incident): string => i.facilityName || i.place || t().board.noPlace

const hay = (i: Incident): string =>
  [
    i.number, what(i), className(i.class), i.place, i.facilityName, i.facilityId, i.district, i.description, i.caller,
    stateName(i.state), ...i.assignments.map((a) => serviceLong(a.service)), ...i.contacts.map((c) => c.caller),
  ].join(' ').toLocaleLowerCase()

// A row is a new object whenever it changes, so its text is made once a change and
// language, not once a key.
const hays = computed(() => {
  void lang.value
  void classifier.value
  return new WeakMap<Incident, string>()
})

// haystack is everything of a card that a search looks through, in small letters.
export function haystack(i: Incident): string {
  let said = hays.value.get(i)
  if (said === undefined) hays.value.set(i, (said = hay(i)))
  return said
}

export const actorName = (actor: string): string => {
  const [kind, ...rest] = actor.split(':')
  const who = rest.join(':')
  const a = t().actor
  switch (kind) {
    case 'system': return a.system
    case 'caller': return a.caller(who)
    case 'panel': return a.panel(who)
    case 'operator': return a.operator(who)
    case 'supervisor': return a.supervisor(who)
    case 'duty': return a.duty(who)
    case 'service': return a.service(serviceLong(who))
    default: return actor
  }
}

// whyOf is the rule's sentence in the language of the screen, or in the one it has.
export const whyOf = (x: { why: string; whyEn: string }): string =>
  pick({ ru: x.why, en: x.whyEn })

export const assignmentState = (a: Pick<Assignment, 'state'>): string => word(t().assignmentStates, a.state)

// journalLine says one event: its sentence and its further facts.
export function journalLine(e: JournalEvent): { text: string; notes: string[] } {
  const j = t().journal
  const d = e.data
  const notes: string[] = []
  const note = (s: string): void => {
    if (s !== '') notes.push(s)
  }
  const signal = (): void => {
    if (d.zone !== '') note(j.zone(d.zone))
    note(d.text)
  }
  switch (e.kind) {
    case 'opened': {
      if (d.account !== '' || d.class !== '') {
        signal()
        return { text: j.openedAlarm(className(d.class)), notes }
      }
      note(d.text)
      const text = d.contactKind === 'sms' ? j.openedSms : d.contactKind === 'ecall' ? j.openedEcall : j.openedCall
      return { text, notes }
    }
    case 'contact':
      note(d.caller)
      note(d.text)
      return { text: j.contact, notes }
    case 'contact_state':
      if (d.reason !== '') note(word(t().endReasons, d.reason))
      note(d.why)
      return { text: j.contactState(word(t().contactStates, d.to)), notes }
    case 'signal':
      signal()
      return { text: j.signal(className(d.class), word(t().conditions, d.condition)), notes }
    case 'registered':
    case 'edited':
      for (const [field, c] of d.changes) {
        const say = field === 'type' ? typeName : (x: string): string => x
        note(j.change(word(t().fields, field), say(c.old), say(c.new)))
      }
      return { text: e.kind === 'edited' ? j.edited : j.registered, notes }
    case 'assigned':
      note(whyOf(d))
      if (d.rule !== '') note(j.rule(d.rule, d.ruleset))
      return { text: j.assigned(serviceLong(d.service)), notes }
    case 'status':
      if (d.orderNumber !== '') note(j.order(d.orderNumber))
      note(d.comment)
      note(d.reason)
      return { text: j.status(serviceLong(d.service), word(t().assignmentStates, d.to)), notes }
    case 'not_deliverable':
      note(d.reason)
      return { text: j.undeliverable(serviceLong(d.service)), notes }
    case 'worked':
      return { text: j.worked, notes }
    case 'closed':
      note(reasonName(d.reason))
      return { text: j.closed, notes }
    case 'cancelled':
      note(d.reason)
      return { text: j.cancelled, notes }
    case 'reopened':
      note(d.reason)
      return { text: j.reopened, notes }
    default:
      note(d.text)
      return { text: e.kind, notes }
  }
}
