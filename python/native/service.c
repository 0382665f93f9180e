/* Service and Kernel: the handles of ropejit.h as Python objects. */
#include "native.h"

typedef struct Service {
  PyObject_HEAD ropejit_service* service;
} Service;

typedef struct Kernel {
  PyObject_HEAD ropejit_kernel* kernel;
  PyObject* output_dtype;
} Kernel;

void free_object(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

static PyObject* allocated(PyTypeObject* type) { return ((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0); }

PyObject* raise_status(ropejit_status status) {
  PyObject* const arguments = Py_BuildValue("(iss)", (int)status, ropejit_last_error(), ropejit_last_log());
  if (arguments == NULL) return NULL;
  PyErr_SetObject(native_error, arguments);
  Py_DECREF(arguments);
  return NULL;
}

static PyObject* service_new(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
  const char* options = NULL;
  static char* names[] = {"options", NULL};
  if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "z", names, &options)) return NULL;
  Service* const self = (Service*)allocated(type);
  if (self == NULL) return NULL;
  const ropejit_status status = ropejit_service_create(options, &self->service);
  if (status != ROPEJIT_OK) {
    Py_DECREF(self);
    return raise_status(status);
  }
  return (PyObject*)self;
}

static void service_free(PyObject* self) {
  ropejit_service* const service = ((Service*)self)->service;
  /* Ends the threads that compile or tune; none of them needs the interpreter. */
  Py_BEGIN_ALLOW_THREADS ropejit_service_release(service);
  Py_END_ALLOW_THREADS free_object(self);
}

static PyObject* service_kernel(PyObject* self, PyObject* arguments) {
  const char* spec = NULL;
  const char* form = NULL;
  PyObject* output_dtype = NULL;
  if (!PyArg_ParseTuple(arguments, "ssO", &spec, &form, &output_dtype)) return NULL;
  Kernel* const made = (Kernel*)allocated((PyTypeObject*)kernel_type);
  if (made == NULL) return NULL;
  ropejit_status status;
  Py_BEGIN_ALLOW_THREADS status = ropejit_get(((Service*)self)->service, spec, form, &made->kernel);
  Py_END_ALLOW_THREADS if (status != ROPEJIT_OK) {
    Py_DECREF(made);
    return raise_status(status);
  }
  if (output_dtype != Py_None) {
    Py_INCREF(output_dtype);
    made->output_dtype = output_dtype;
  }
  return (PyObject*)made;
}

static PyObject* service_forget_unused(PyObject* self, PyObject* ignored) {
  (void)ignored;
  int64_t forgotten = 0;
  ropejit_status status;
  Py_BEGIN_ALLOW_THREADS status = ropejit_forget(((Service*)self)->service, NULL, NULL, &forgotten);
  Py_END_ALLOW_THREADS if (status != ROPEJIT_OK) return raise_status(status);
  return PyLong_FromLongLong(forgotten);
}

static void kernel_free(PyObject* self) {
  ropejit_kernel_release(((Kernel*)self)->kernel);
  Py_XDECREF(((Kernel*)self)->output_dtype);
  free_object(self);
}

const ropejit_kernel* kernel_of(PyObject* object) {
  if ((PyObject*)Py_TYPE(object) == kernel_type) return ((Kernel*)object)->kernel;
  PyErr_SetString(PyExc_TypeError, "a Site's function did not return a Kernel");
  return NULL;
}

PyObject* output_dtype_of(PyObject* object) { return ((Kernel*)object)->output_dtype; }

static PyMethodDef service_methods[] = {
    {"kernel", service_kernel, METH_VARARGS, "kernel(spec, form, output_dtype): JSON, and a torch.dtype or None"},
    {"forget_unused", service_forget_unused, METH_NOARGS,
     "forget_unused(): how many kernels it let go that none holds"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot service_slots[] = {
    {Py_tp_new, (void*)service_new},
    {Py_tp_dealloc, (void*)service_free},
    {Py_tp_methods, service_methods},
    {Py_tp_doc, "Service(options): makes kernels for one device; options: JSON of ropejit_service_create"},
    {0, NULL},
};

PyType_Spec service_spec = {"ropejit._native.Service", sizeof(Service), 0, Py_TPFLAGS_DEFAULT, service_slots};

static PyType_Slot kernel_slots[] = {
    {Py_tp_dealloc, (void*)kernel_free},
    {Py_tp_doc, "A kernel prepared for one spec and one form"},
    {0, NULL},
};

PyType_Spec kernel_spec = {"ropejit._native.Kernel", sizeof(Kernel), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, kernel_slots};
