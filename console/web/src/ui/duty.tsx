import { useSignal } from '@preact/signals'
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks'
import { pick, t } from '../i18n'
import { ownAssignment } from '../model/order'
import { isFinal, isUndecided, LIMITS, type AssignmentState, type Incident } from '../model/protocol'
import type { Note } from '../model/note'
import { nextSteps } from '../model/rights'
import type { Live } from '../store/live'
import { CommandState, decideWithinMs, Hint, shownNow } from './bits'
import { StateIcon } from './icons'
import { settled } from './moves'
import { elapsed, serviceLong } from './words'

// The duty officer's part: one key accepts, a refusal says why, then the steps of
// the work. dutyKeys is how the keyboard reaches it.

export const dutyKeys: { accept: (() => void) | null; refuse: (() => void) | null } = { accept: null, refuse: null }

type Step = keyof ReturnType<typeof t>['act']['steps']
const isRefusal = (s: AssignmentState): s is 'refused' | 'work_refused' => s === 'refused' || s === 'work_refused'

export const Duty = ({ live, i }: { live: Live; i: Incident }) => {
  const missing = useSignal(false)
  const area = useRef<HTMLTextAreaElement>(null)
  const own = ownAssignment(i, live.me)
  const pending = live.outbox.of(i.id, 'reply')
  const steps = nextSteps(i, live.me)
  const note = live.notes.of(i.id).value
  const change = (part: Partial<Note>): void => live.notes.change(i.id, part)
  // A refusal that was begun and is no longer possible leaves its words for the next step.
  const refusing = note.refusing !== null && steps.includes(note.refusing) ? note.refusing : null
  const w = t().act

  const reply = (status: AssignmentState): void => {
    if (own === undefined || live.outbox.of(i.id, 'reply') !== undefined) return
    const said = live.notes.of(i.id).peek().comment.trim()
    if (isRefusal(status) && said === '') {
      missing.value = true
      area.current?.focus()
      return
    }
    const orderNumber = live.notes.of(i.id).peek().orderNumber.trim()
    live.command(i.id, 'reply', {
      status,
      service: own.service,
      ...(said !== '' ? { comment: said } : {}),
      ...(orderNumber !== '' ? { orderNumber } : {}),
    })
  }

  const canAccept = steps.includes('accepted')
  const canRefuse = steps.includes('refused')
  useLayoutEffect(() => {
    dutyKeys.accept = canAccept ? () => settled() && reply('accepted') : null
    dutyKeys.refuse = canRefuse ? () => change({ refusing: 'refused' }) : null
    return () => {
      dutyKeys.accept = dutyKeys.refuse = null
    }
  })
  useEffect(() => {
    if (refusing !== null) area.current?.focus()
  }, [refusing])

  if (own === undefined) return null
  const waits = isUndecided(own.state) && own.addedAt !== undefined
  const left = waits ? decideWithinMs - (shownNow(live) - (own.addedAt ?? 0)) : 0
  const failed = live.outbox.failure(i.id, 'reply')
  return (
    <section class={`duty ${waits ? (left < 0 ? 'is-late' : 'is-waiting') : ''}`} aria-label={w.own} data-testid="duty" data-state={own.state}>
      <div class="duty-head">
        <b>{serviceLong(own.service)}</b>
        {waits && (
          <span class="duty-clock" data-testid="duty-clock">
            {left >= 0 ? w.waitFor : w.overdue} <span class="num age">{elapsed(Math.abs(left))}</span>
          </span>
        )}
        {own.state === 'refused' && <span>{w.alreadyRefused}</span>}
        {own.state !== 'refused' && isFinal(own.state) && <span>{w.done}</span>}
      </div>
      {refusing === null ? (
        <>
          {steps.length > 0 && !waits && own.state !== 'refused' && (
            <div class="duty-notes">
              <label>
                {w.orderNumber}
                <input data-testid="order-number" maxLength={LIMITS.orderNumber} autocomplete="off" value={note.orderNumber} onInput={(e) => change({ orderNumber: e.currentTarget.value })} />
              </label>
              <label>
                {w.comment}
                <input data-testid="step-comment" maxLength={LIMITS.comment} autocomplete="off" value={note.comment} onInput={(e) => change({ comment: e.currentTarget.value })} />
              </label>
            </div>
          )}
          {waits && (
            <label class="duty-order">
              {w.orderNumber}
              <input data-testid="order-number" maxLength={LIMITS.orderNumber} autocomplete="off" value={note.orderNumber} onInput={(e) => change({ orderNumber: e.currentTarget.value })}
                onKeyDown={(e) => {
                  if (e.key === 'Enter' && !e.repeat) reply('accepted')
                }} />
            </label>
          )}
          <div class="actions">
            {steps.map((s, n) => (
              <button key={s} type="button" data-testid={s === 'accepted' ? 'accept' : s === 'refused' ? 'refuse' : `step-${s}`}
                class={s === 'accepted' ? 'accept' : isRefusal(s) ? 'refuse' : n === 0 ? 'primary' : ''} disabled={pending !== undefined}
                onClick={() => (isRefusal(s) ? change({ refusing: s }) : reply(s))}>
                <StateIcon state={s} />
                {w.steps[s as Step]}
                {s === 'accepted' && <Hint k="A" />}
                {s === 'refused' && <Hint k="R" />}
              </button>
            ))}
          </div>
        </>
      ) : (
        <div class="refusal">
          <label for="refusal">{w.refusal}</label>
          <textarea id="refusal" maxLength={LIMITS.comment} data-testid="refusal" ref={area} rows={2} value={note.comment} aria-invalid={missing.value}
            aria-describedby="refusal-error"
            onInput={(e) => {
              change({ comment: e.currentTarget.value })
              missing.value = false
            }}
            onKeyDown={(e) => {
              if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) reply(refusing)
            }} />
          <p id="refusal-error" class="error" role="alert" data-testid="refusal-error">
            {missing.value && t().form.needReason}
          </p>
          <div class="actions">
            <button type="button" class="refuse-now" data-testid="refuse-confirm" onClick={() => reply(refusing)}>
              {w.refuseConfirm}
              <Hint k="Ctrl+Enter" />
            </button>
            <button type="button" data-testid="refuse-back" onClick={() => { change({ refusing: null }); missing.value = false }}>{w.back}</button>
          </div>
        </div>
      )}
      {failed?.error.field === 'comment' && <p class="error" role="alert">{pick(failed.error)}</p>}
      <CommandState live={live} incident={i.id} kinds={['reply']} />
    </section>
  )
}
