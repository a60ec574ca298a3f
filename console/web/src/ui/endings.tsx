import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { t } from '../i18n'
import { isOpen, LIMITS, type Incident } from '../model/protocol'
import type { Note } from '../model/note'
import { mayCancel, mayClose } from '../model/rights'
import type { Live } from '../store/live'
import { CommandState } from './bits'

// The supervisor ends a card: both ways ask for a reason first.
export const Endings = ({ live, i }: { live: Live; i: Incident }) => {
  const missing = useSignal(false)
  const field = useRef<HTMLInputElement>(null)
  const w = t().act
  const note = live.notes.of(i.id).value
  const change = (part: Partial<Note>): void => live.notes.change(i.id, part)
  const may = { close: mayClose(i, live.me), cancel: mayCancel(i, live.me) }
  const asking = note.ending !== null && may[note.ending] ? note.ending : null
  useEffect(() => {
    if (asking !== null) field.current?.focus()
  }, [asking])
  if (live.me.role !== 'supervisor' || !isOpen(i.state)) return null

  const pending = live.outbox.of(i.id, 'close', 'cancel') !== undefined
  const go = (): void => {
    const reason = live.notes.of(i.id).peek().reason.trim()
    missing.value = reason === ''
    if (asking === null || missing.peek()) {
      field.current?.focus()
      return
    }
    live.command(i.id, asking, { reason })
  }
  return (
    <div class="endings">
      {asking === null ? (
        <div class="actions">
          <button type="button" data-testid="close" disabled={pending || !may.close} title={may.close ? '' : w.closeWhenDone}
            onClick={() => change({ ending: 'close' })}>
            {w.close}
          </button>
          {may.cancel && (
            <button type="button" class="refuse" data-testid="cancel" disabled={pending} onClick={() => change({ ending: 'cancel' })}>
              {w.cancel}
            </button>
          )}
          {!may.close && <span class="muted">{w.closeWhenDone}</span>}
        </div>
      ) : (
        <div class="inline-box">
          <label for="ending-reason">{t().form.reason}</label>
          <input id="ending-reason" maxLength={LIMITS.reason} data-testid="ending-reason" ref={field} autocomplete="off" value={note.reason} aria-invalid={missing.value}
            onInput={(e) => { change({ reason: e.currentTarget.value }); missing.value = false }}
            onKeyDown={(e) => { if (e.key === 'Enter' && !e.repeat) go() }} />
          {missing.value && <p class="error" role="alert">{t().form.needReason}</p>}
          <div class="actions">
            <button type="button" class={asking === 'cancel' ? 'refuse-now' : 'primary'} data-testid="ending-confirm" onClick={go}>
              {asking === 'cancel' ? w.cancelConfirm : w.closeConfirm}
            </button>
            <button type="button" data-testid="ending-back" onClick={() => change({ ending: null })}>{w.back}</button>
          </div>
        </div>
      )}
      <CommandState live={live} incident={i.id} kinds={['close', 'cancel']} />
    </div>
  )
}
