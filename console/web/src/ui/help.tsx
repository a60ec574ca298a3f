import { useEffect, useRef } from 'preact/hooks'
import { t } from '../i18n'
import { helpOpen } from '../store/app'

export const Help = () => {
  const box = useRef<HTMLDialogElement>(null)
  const w = t().keys
  useEffect(() => {
    if (box.current !== null && !box.current.open) box.current.showModal()
  }, [])
  return (
    <dialog class="help" ref={box} aria-labelledby="help-title" data-testid="help-dialog" onClose={() => (helpOpen.value = false)}>
      <h2 id="help-title">{w.title}</h2>
      <dl>
        {w.rows.map(([keys, does]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <p class="muted">{w.note}</p>
      <button type="button" class="primary" onClick={() => box.current?.close()}>{w.close}</button>
    </dialog>
  )
}
