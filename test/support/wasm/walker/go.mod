module example.test/walker

go 1.21
