// For the main of every program that loads models: `if (int s = tenon::api::probe_main(argc, argv); s >= 0) return s;`
// first of all. It lets the program's child try a plugin's first load.
#pragma once

#include "plugin/probe.hpp"

namespace tenon::api {

using tenon::probe_main;

}  // namespace tenon::api
