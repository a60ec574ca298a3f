package main

import "context"

type callFigures struct{}

func measureCalls(context.Context, plan, *engine, *report, func(string, ...any)) error { return nil }

func answerCalls() error { return nil }
