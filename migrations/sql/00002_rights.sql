-- The engine's role is not the owner (see rights.go): months of notifications are
-- made by a function of the owner's.

-- +goose Up

-- The table is made apart and attached, which lets writers of other months go
-- on; CREATE … PARTITION OF would stop them.
-- +goose StatementBegin
CREATE FUNCTION make_notifications_month(at timestamptz) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
    -- No schema in which somebody else may make a function that is taken for ours.
    SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '3s' AS $$
DECLARE
    first timestamptz := date_trunc('month', at);
    after timestamptz := date_trunc('month', at) + interval '1 month';
    name  text := to_char(date_trunc('month', at), '"notifications_"YYYY_MM');
BEGIN
    IF extract(year FROM at) < 1970 THEN -- 2027 BC would have the name of 2027
        RAISE EXCEPTION 'no month of notifications: %', at;
    END IF;
    -- One node at a time; the number is only this lock's name.
    PERFORM pg_advisory_xact_lock(7236838);
    IF EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'public.notifications'::regclass AND inhrelid = to_regclass('public.' || name)) THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.notifications INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    -- What came before the month was made lies in the default partition, which
    -- would refuse the month.
    EXECUTE format('WITH moved AS (DELETE FROM public.notifications_default WHERE received_at >= %L AND received_at < %L RETURNING *)
                    INSERT INTO public.%I SELECT * FROM moved', first, after, name);
    EXECUTE format('ALTER TABLE public.notifications ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', name, first, after);
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION make_notifications_month(timestamptz) FROM PUBLIC;

-- +goose Down
DROP FUNCTION make_notifications_month(timestamptz);
