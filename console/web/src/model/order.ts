import { isOpen, isUndecided, type Contact, type Incident, type Me, type Time } from './protocol'

// Who must look at what, and in which order the board shows it.

export const liveCall = (i: Incident): Contact | undefined =>
  i.contacts.find((c) => c.kind !== 'sms' && (c.state === 'ringing' || c.state === 'answered'))

export const callbackDue = (i: Incident): boolean => i.contacts.some((c) => c.callbackDue)

export const ownAssignment = (i: Incident, me: Me) =>
  me.role === 'duty' ? i.assignments.find((a) => a.service === me.service) : undefined

// untaken: nobody has this card in hand, though it was sent. Every service has
// refused, a record cannot be delivered, or the rules chose nobody.
export function untaken(i: Incident): boolean {
  if (!isOpen(i.state) || i.state === 'draft' || i.state === 'worked') return false
  if (i.assignments.some((a) => a.undeliverable !== '' && isUndecided(a.state))) return true
  return i.assignments.every((a) => a.state === 'refused' || a.state === 'cancelled')
}

// urgency: 0 waits for this person now … 9 nobody has to hurry. A duty officer
// answers assignments; everybody else sees what waits for a person: a draft with
// somebody on the line, an alarm nobody knows the place of, a card that nobody
// takes, a lost call, the other drafts.
export function urgency(i: Incident, me: Me): number {
  if (!isOpen(i.state)) return 9
  if (me.role === 'duty') {
    const own = ownAssignment(i, me)
    return own !== undefined && isUndecided(own.state) ? 0 : 9
  }
  if (i.state !== 'draft') return untaken(i) ? 1 : 9
  if (liveCall(i) !== undefined) return 0
  if (i.unknownFacility) return 1
  if (callbackDue(i)) return 2
  return 3
}

// Administrators and auditors look on; nothing waits for them.
const acts = (me: Me): boolean => me.role === 'operator' || me.role === 'supervisor' || me.role === 'duty'

export const waitsForMe = (i: Incident, me: Me): boolean => acts(me) && urgency(i, me) < 9

const at = (t: Time): number => t ?? 0

// Those who wait come first, the longest wait on top, so that a newcomer among
// them moves nothing; the others follow, newest first.
export function compare(me: Me): (a: Incident, b: Incident) => number {
  return (a, b) => {
    const ua = urgency(a, me)
    const ub = urgency(b, me)
    if (ua !== ub) return ua - ub
    const byAge = at(a.openedAt) - at(b.openedAt) || a.number - b.number
    return ua < 9 ? byAge : -byAge
  }
}

export type StateFilter = 'all' | 'waiting' | Incident['state']

export interface Filter {
  text: string
  state: StateFilter
}

export const matches = (i: Incident, f: Filter, me: Me, haystack: (i: Incident) => string): boolean => {
  if (f.state === 'waiting' ? !waitsForMe(i, me) : f.state !== 'all' && i.state !== f.state) return false
  const words = f.text.toLocaleLowerCase().split(/\s+/).filter((w) => w !== '')
  if (words.length === 0) return true
  const hay = haystack(i).toLocaleLowerCase()
  return words.every((w) => hay.includes(w))
}

// hold keeps the order that is on the screen while a hand is on it: known rows
// keep their places, rows that were not there wait outside. It returns what to
// show and how many wait.
export function hold(shown: readonly string[], wanted: readonly string[]): { ids: readonly string[]; waiting: number } {
  const known = new Set(shown)
  return { ids: shown, waiting: wanted.filter((id) => !known.has(id)).length }
}
