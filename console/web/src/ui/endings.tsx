import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { t } from '../i18n'
import { isOpen, LIMITS, type Incident } from '../model/protocol'
import { mayCancel, mayClose } from '../model/rights'
import type { Live } from '../store/live'
import { CommandState } from './bits'

// The supervisor ends a card: both ways ask for a reason first.
export const Endings = ({ live, i }: { live: Live; i: Incident }) => {
  const asking = useSignal<'close' | 'cancel' | null>(null)
  const reason = useSignal('')
  const missing = useSignal(false)
  const field = useRef<HTMLInputElement>(null)
  const w = t().act
  useEffect(() => {
    if (asking.value !== null) field.current?.focus()
  }, [asking.value])
  if (live.me.role !== 'supervisor' || !isOpen(i.state)) return null

  const pending = live.outbox.of(i.id, 'close', 'cancel') !== undefined
  const go = (): void => {
    const kind = asking.peek()
    missing.value = reason.peek().trim() === ''
    if (kind === null || missing.peek()) {
      field.current?.focus()
      return
    }
    live.command(i.id, kind, { reason: reason.peek().trim() })
    asking.value = null
    reason.value = ''
  }
  return (
    <div class="endings">
      {asking.value === null ? (
        <div class="actions">
          <button type="button" data-testid="close" disabled={pending || !mayClose(i, live.me)} title={mayClose(i, live.me) ? '' : w.closeWhenDone}
            onClick={() => (asking.value = 'close')}>
            {w.close}
          </button>
          {mayCancel(i, live.me) && (
            <button type="button" class="refuse" data-testid="cancel" disabled={pending} onClick={() => (asking.value = 'cancel')}>
              {w.cancel}
            </button>
          )}
          {!mayClose(i, live.me) && <span class="muted">{w.closeWhenDone}</span>}
        </div>
      ) : (
        <div class="inline-box">
          <label for="ending-reason">{t().form.reason}</label>
          <input id="ending-reason" maxLength={LIMITS.comment} data-testid="ending-reason" ref={field} autocomplete="off" value={reason.value} aria-invalid={missing.value}
            onInput={(e) => { reason.value = e.currentTarget.value; missing.value = false }}
            onKeyDown={(e) => { if (e.key === 'Enter' && !e.repeat) go() }} />
          {missing.value && <p class="error" role="alert">{t().form.needReason}</p>}
          <div class="actions">
            <button type="button" class={asking.value === 'cancel' ? 'refuse-now' : 'primary'} data-testid="ending-confirm" onClick={go}>
              {asking.value === 'cancel' ? w.cancelConfirm : w.closeConfirm}
            </button>
            <button type="button" data-testid="ending-back" onClick={() => (asking.value = null)}>{w.back}</button>
          </div>
        </div>
      )}
      <CommandState live={live} incident={i.id} kinds={['close', 'cancel']} />
    </div>
  )
}
