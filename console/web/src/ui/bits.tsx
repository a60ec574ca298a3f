import type { ComponentChildren } from 'preact'
import { t } from '../i18n'
import { isUndecided, type Assignment, type CommandKind, type Contact, type Time } from '../model/protocol'
import type { Live } from '../store/live'
import { lang } from '../i18n'
import { SignIcon, StateIcon } from './icons'
import { assignmentState, elapsed, serviceShort } from './words'

// The small pieces that tick. Each reads the server's clock by itself, so a
// second repaints a few letters and no rows.

export const decideWithinMs = 30_000

// shownNow is the time that ages are counted to: now, and while the screen may be
// behind, the moment up to which it was known to be true. A state that may have
// changed must not be seen to grow older.
export const shownNow = (live: Live): number => live.freshness.stale.value?.since ?? live.now.value

export const Age = ({ live, since, until }: { live: Live; since: Time; until?: Time }) => {
  if (since === undefined) return <span class="muted">{t().board.notKnown}</span>
  return <span class={until === undefined ? 'num age' : 'num'}>{elapsed((until ?? shownNow(live)) - since)}</span>
}

// tone groups states by what they ask of a person.
const tone: Record<Assignment['state'], string> = {
  added: 'waits', published: 'waits', received: 'waits', accepted: 'good', refused: 'bad', en_route: 'work',
  arrived: 'work', working: 'work', completed: 'done', work_refused: 'bad', cancelled: 'gone',
}

export const Chip = ({ live, a }: { live: Live; a: Assignment }) => {
  const waits = isUndecided(a.state) && a.addedAt !== undefined
  const age = waits ? shownNow(live) - (a.addedAt ?? 0) : 0
  const late = waits && age > decideWithinMs
  const name = serviceShort(a.service)
  const state = assignmentState(a)
  const clock = waits ? (late ? t().chip.overdue(elapsed(age)) : t().chip.waits(elapsed(age))) : ''
  return (
    <span
      class={`chip tone-${late ? 'late' : (tone[a.state] ?? 'waits')}`}
      data-testid="chip"
      data-service={a.service}
      data-state={a.state}
      data-late={late ? 'true' : undefined}
      title={[t().chip.label(name, state), clock, a.undeliverable && t().board.notDeliverable].filter(Boolean).join(' · ')}
    >
      {a.undeliverable !== '' ? <SignIcon sign="warning" /> : <StateIcon state={a.state} />}
      <span class="chip-name">{name}</span>
      <span class="chip-state">{a.undeliverable !== '' ? t().board.notDeliverable : state}</span>
      {waits && <span class="num chip-clock">{elapsed(age)}</span>}
      {late && <span class="sr">{t().board.overdue}</span>}
    </span>
  )
}

export const CallMark = ({ live, contact }: { live: Live; contact: Contact }) => {
  const ringing = contact.state === 'ringing'
  return (
    <span class={`mark ${ringing ? 'mark-ringing' : 'mark-line'}`} data-testid="live-call">
      <SignIcon sign="phone" />
      {ringing ? t().board.ringing : t().board.onLine}{' '}
      <Age live={live} since={ringing ? contact.receivedAt : (contact.answeredAt ?? contact.receivedAt)} />
    </span>
  )
}

export const Hint = ({ k }: { k: string }) => (
  <kbd class="hint" aria-hidden="true">
    {k}
  </kbd>
)

// CommandState says what became of the last command of these kinds on a card.
export const CommandState = ({ live, incident, kinds }: { live: Live; incident: string; kinds: readonly CommandKind[] }) => {
  const p = live.outbox.of(incident, ...kinds)
  const online = live.link.state.value === 'open'
  const failure = kinds.map((k) => live.outbox.failure(incident, k)).find((f) => f !== undefined)
  const words = t().act
  let text: ComponentChildren = null
  let kind = ''
  if (p !== undefined) {
    text = !online ? words.offline : p.late ? words.late : words.pending
    kind = !online || p.late ? 'warn' : 'calm'
  } else if (failure !== undefined) {
    const said = lang.value === 'ru' ? failure.error.ru || failure.error.en : failure.error.en || failure.error.ru
    text = `${words.failed}: ${said || failure.error.code || words.unknownError}`
    kind = 'bad'
  }
  return (
    <p class={`outcome outcome-${kind}`} role="status" data-testid="command-state" data-kind={kind}>
      {kind === 'bad' && <SignIcon sign="warning" />}
      {text}
    </p>
  )
}
