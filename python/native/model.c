/* model_ropes: what a config.json says, as JSON. */
#include <stdlib.h>

#include "native.h"

PyObject* model_ropes(PyObject* module, PyObject* arguments) {
  (void)module;
  const char* config = NULL;
  const char* options = NULL;
  if (!PyArg_ParseTuple(arguments, "ss", &config, &options)) return NULL;
  size_t length = 0;
  ropejit_status status = ropejit_model_ropes(config, options, NULL, 0, &length);
  if (status != ROPEJIT_OK) return raise_status(status);
  char* const text = malloc(length + 1);
  if (text == NULL) return PyErr_NoMemory();
  status = ropejit_model_ropes(config, options, text, length + 1, &length);
  PyObject* const result = status == ROPEJIT_OK ? PyUnicode_FromString(text) : raise_status(status);
  free(text);
  return result;
}
