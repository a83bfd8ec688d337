// Package opa lets policies written in Rego say whether a call may go out: it is
// the one room that knows Open Policy Agent.
//
// A Policy is the default one (deploy/policies/default), or that one with a
// folder's rules added, or a folder's own in its place. Load compiles it, Run
// keeps it up with the folder, and Evaluate turns facts into a verdict:
//
//	*decision.Facts ─► view ─► ast.Term ─► topdown ─► ast.Term ─► decision.Verdict
//	      (paths.go)  (input.go)       (policy.go)        (verdict.go)
//
// A verdict depends on the facts and on nothing else, and that is made so rather
// than hoped for. The functions a policy may call are a list of pure ones
// (builtins.go). The input paths that it reads are found when it is loaded
// (paths.go), and it is shown those values only, so that they are an exact key
// under which the verdict is remembered (memo.go).
//
// What it refuses to do: it never asks anything outside the process, never puts
// a policy that does not compile in place of one that does, never lets an error
// or a missing result stand for "allowed", and never repairs a verdict that does
// not have the form of schema/verdict.json.
//
// Start at policy.go; then load.go, which says what is refused and why.
package opa
