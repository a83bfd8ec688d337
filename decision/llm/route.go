package llm

// Route is what a method and a path ask for.
type Route struct {
	Dialect   Dialect
	Endpoint  Endpoint
	PathModel string // the deployment that the path names, "" when the body names the model
	Free      bool   // costs nothing: not judged by tokens or money
}

// Recognise reads a method and a path, with or without a query. It knows the
// paths of the contract and no others, byte for byte.
func Recognise(method, path string) (Route, bool) { return Route{}, false }
