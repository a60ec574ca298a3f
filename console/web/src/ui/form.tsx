import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { pick, t } from '../i18n'
import { anyDirty, conflicts, dirty, formOf, shown, status } from '../model/draft'
import { LIMITS, type FormField, type Incident } from '../model/protocol'
import { mayCloseWithoutResponse, mayEdit } from '../model/rights'
import { classifier } from '../store/app'
import type { Live } from '../store/live'
import { CommandState, Hint } from './bits'
import { SignIcon } from './icons'
import { typeName } from './words'

// The small form. Every letter is kept at once on this computer and within a
// second on the server; another person's change never replaces what is typed here.

const most: Record<FormField, number> = { type: 32, place: 500, description: 4000 }
type Problem = Partial<Record<FormField, string>>

const lost = (live: Live, i: Incident) => {
  const d = live.drafts.of(i.id).value
  if (!anyDirty(d)) return null
  return (
    <div class="note note-warn" data-testid="lost-edits">
      <p>{t().form.lostEdits}</p>
      {(['type', 'place', 'description'] as const).filter((f) => dirty(d, f)).map((f) => (
        <p key={f} class="pre">
          {t().fields[f]}: {f === 'type' ? typeName(d.fields[f]?.mine ?? '') : d.fields[f]?.mine}
        </p>
      ))}
      <button type="button" class="small" onClick={() => live.drafts.discard(i.id)}>{t().form.dropEdits}</button>
    </div>
  )
}

export const CardForm = ({ live, i }: { live: Live; i: Incident }) => {
  const problems = useSignal<Problem>({})
  const d = live.drafts.of(i.id).value
  const server = formOf(i)
  const w = t().form
  if (!mayEdit(i, live.me)) return lost(live, i)

  const isDraft = i.state === 'draft'
  const undecided = conflicts(d).length > 0
  const sending = live.outbox.of(i.id, 'send')
  const refused = live.outbox.failure(i.id, 'send') ?? live.outbox.failure(i.id, 'save')
  const problem = (f: FormField): string | undefined =>
    problems.value[f] ?? (refused?.error.field === f ? pick(refused.error) : undefined)

  const input = (f: FormField, value: string): void => {
    live.outbox.clearFailure(i.id, 'send')
    live.outbox.clearFailure(i.id, 'save')
    if (problems.peek()[f] !== undefined) problems.value = { ...problems.peek(), [f]: undefined } as Problem
    live.drafts.type(i, f, value)
  }
  const choose = (f: FormField, keep: 'mine' | 'theirs'): void => {
    live.outbox.clearFailure(i.id, 'send')
    live.outbox.clearFailure(i.id, 'save')
    problems.value = { ...problems.peek(), [f]: undefined } as Problem
    live.drafts.resolve(i, f, keep)
  }
  const focus = (f: FormField): void => document.getElementById(`form-${f}`)?.focus()

  const submit = (e?: Event): void => {
    e?.preventDefault()
    if (sending !== undefined) return
    const found: Problem = {}
    if (shown(d, 'type', server) === '') found.type = w.needType
    if (shown(d, 'place', server).trim() === '') found.place = w.needPlace
    for (const f of ['place', 'description'] as const) {
      if ([...shown(d, f, server)].length > most[f]) found[f] = w.tooLong(most[f])
    }
    for (const f of conflicts(d)) found[f] = w.conflictFirst
    problems.value = found
    const first = (['type', 'place', 'description'] as const).find((f) => found[f] !== undefined)
    if (first !== undefined) focus(first)
    else live.drafts.send(i)
  }

  const attributes = (f: FormField) => ({
    id: `form-${f}`,
    'data-testid': `form-${f}`,
    'aria-invalid': problem(f) !== undefined,
    'aria-describedby': `form-${f}-say`,
    onFocus: () => live.drafts.enter(i, f),
    onBlur: () => live.drafts.leave(i),
  })
  const below = (f: FormField) => {
    const theirs = d.fields[f]?.theirs ?? null
    return (
      <div id={`form-${f}-say`} class="field-say">
        {problem(f) !== undefined && (
          <p class="error" role="alert" data-testid={`form-${f}-error`}>
            <SignIcon sign="warning" /> {problem(f)}
          </p>
        )}
        {theirs !== null && (
          <div class="note note-warn" role="alert" data-testid={`form-${f}-conflict`}>
            <p>
              {w.conflict} <b class="pre">{theirs === '' ? w.conflictEmpty : f === 'type' ? typeName(theirs) : theirs}</b>
            </p>
            <button type="button" class="small" data-testid={`form-${f}-mine`} onClick={() => choose(f, 'mine')}>{w.mine}</button>
            <button type="button" class="small" data-testid={`form-${f}-theirs`} onClick={() => choose(f, 'theirs')}>{w.theirs}</button>
          </div>
        )}
      </div>
    )
  }

  const fields = (
    <form class="card-form" onSubmit={submit} data-testid="form" noValidate
      onKeyDown={(e) => {
        if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) submit(e)
      }}>
      <div class="field">
        <label for="form-type">{w.type}</label>
        <select {...attributes('type')} value={shown(d, 'type', server)} onChange={(e) => input('type', e.currentTarget.value)}>
          <option value="">{w.choose}</option>
          {(classifier.value?.types ?? []).map((x) => (
            <option key={x.type} value={x.type}>{pick(x)}</option>
          ))}
        </select>
        {below('type')}
      </div>
      <div class="field">
        <label for="form-place">{w.place}</label>
        <input {...attributes('place')} maxLength={LIMITS.place} autocomplete="off" value={shown(d, 'place', server)} onInput={(e) => input('place', e.currentTarget.value)} />
        {below('place')}
      </div>
      <div class="field">
        <label for="form-description">{w.description}</label>
        <textarea {...attributes('description')} maxLength={LIMITS.description} rows={3} value={shown(d, 'description', server)} onInput={(e) => input('description', e.currentTarget.value)} />
        {below('description')}
      </div>
      <DraftState live={live} i={i} />
      <div class="actions">
        <button type="submit" class="primary" data-testid="send" disabled={sending !== undefined || undecided}
          aria-describedby={undecided ? 'form-blocked' : undefined}>
          {sending !== undefined ? w.sending : isDraft ? w.send : w.sendChanges}
          <Hint k="Ctrl+Enter" />
        </button>
        {!isDraft && anyDirty(d) && sending === undefined && (
          <button type="button" data-testid="discard" onClick={() => live.drafts.discard(i.id)}>{w.discard}</button>
        )}
        {undecided && <span id="form-blocked" class="error" data-testid="send-blocked">{w.sendBlocked}</span>}
        {mayCloseWithoutResponse(i, live.me) && <CloseWithoutResponse live={live} i={i} />}
      </div>
      <CommandState live={live} incident={i.id} kinds={['send', 'closeWithoutResponse']} />
    </form>
  )
  if (isDraft) {
    return (
      <section class="form-box" aria-labelledby="form-title">
        <h3 id="form-title">{w.draft}<Hint k="E" /></h3>
        {fields}
      </section>
    )
  }
  return (
    <details class="form-box amend" open={anyDirty(d) || conflicts(d).length > 0} data-testid="amend">
      <summary>{w.amend}<Hint k="E" /></summary>
      {fields}
    </details>
  )
}

// DraftState says whether the typed text is safe. A registered card saves nothing
// by itself: its changes stay here, and that is said.
const DraftState = ({ live, i }: { live: Live; i: Incident }) => {
  const d = live.drafts.of(i.id).value
  const w = t().form
  const s = status(d)
  const saveFailed = live.outbox.failure(i.id, 'save')
  const isDraft = i.state === 'draft'
  const dirtyNow = anyDirty(d)
  const text =
    s === 'clean' ? '' : s === 'saving' ? w.saving : s === 'saved' || !dirtyNow ? w.saved : isDraft ? w.unsaved : w.unsent
  const name = s === 'conflict' && !dirtyNow ? 'saved' : s === 'unsaved' && !isDraft ? 'unsent' : s
  return (
    <p class={`draft-state is-${name}`} role="status" data-testid="draft-state" data-state={name}>
      {text}
      {dirtyNow && <span class="muted"> · {live.drafts.keptLocally.value ? w.keptHere : w.notKept}</span>}
      {saveFailed !== undefined && saveFailed.error.field === '' && <span class="error"> {pick(saveFailed.error)}</span>}
    </p>
  )
}

const CloseWithoutResponse = ({ live, i }: { live: Live; i: Incident }) => {
  const open = useSignal(false)
  const reason = useSignal('')
  const missing = useSignal(false)
  const select = useRef<HTMLSelectElement>(null)
  useEffect(() => {
    if (open.value) select.current?.focus()
  }, [open.value])
  const w = t().form
  const pending = live.outbox.of(i.id, 'closeWithoutResponse') !== undefined
  if (!open.value) {
    return (
      <button type="button" data-testid="close-without-response" onClick={() => (open.value = true)}>
        {w.closeNo}
      </button>
    )
  }
  const go = (): void => {
    missing.value = reason.peek() === ''
    if (missing.peek()) select.current?.focus()
    else live.command(i.id, 'closeWithoutResponse', { reason: reason.peek() })
  }
  return (
    <div class="inline-box">
      <label for="non-response">{w.reason}</label>
      <select id="non-response" data-testid="non-response-reason" value={reason.value} aria-invalid={missing.value}
        ref={select}
        onChange={(e) => {
          reason.value = e.currentTarget.value
          missing.value = false
        }}>
        <option value="">{w.choose}</option>
        {(classifier.value?.nonResponses ?? []).map((x) => (
          <option key={x.reason} value={x.reason}>{pick(x)}</option>
        ))}
      </select>
      {missing.value && <p class="error" role="alert">{w.needReason}</p>}
      <div class="actions">
        <button type="button" data-testid="non-response-confirm" disabled={pending} onClick={go}>{w.closeNo}</button>
        <button type="button" data-testid="non-response-back" onClick={() => (open.value = false)}>{t().act.back}</button>
      </div>
    </div>
  )
}
