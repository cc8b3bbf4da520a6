// Command wrongarch is built for a machine that this is not, for the diagnosis of a plugin that cannot start.
package main

func main() {}
