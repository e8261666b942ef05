// The public C++ face of Tenon, all of it. Tools include this and nothing else of core/.
#pragma once

#include "api/constraint.hpp"
#include "api/evaluate.hpp"
#include "api/inspect.hpp"
#include "api/machine.hpp"
#include "api/model.hpp"
#include "api/models.hpp"
#include "api/probe.hpp"
#include "api/text.hpp"
#include "base/error.hpp"
#include "base/value.hpp"
